"""Freehold: the Kubernetes operator for open models."""

__version__ = "0.1.0"
