"""The built-in catalogue: models and accelerator classes as data, with their sources."""
