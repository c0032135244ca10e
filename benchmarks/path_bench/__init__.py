"""The parts of ``request_path.py``."""
