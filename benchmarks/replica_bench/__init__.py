"""Watches replicas follow the queue, and draws it."""
