"""The operator: what is watched, the queue, one pass over one model, the process around them."""
