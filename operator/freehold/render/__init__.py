"""Layer 1: a plan to the objects that carry it out. Pure: the same input gives the same bytes."""
