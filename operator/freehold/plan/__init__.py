"""Layer 1: what should be. Pure arithmetic over a model, an engine and a class of hardware."""
