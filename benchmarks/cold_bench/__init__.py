"""The parts of ``cold_start.py``."""
