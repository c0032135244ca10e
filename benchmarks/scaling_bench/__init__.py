"""A run of real replicas that follow the queue, and the log of its decisions."""
