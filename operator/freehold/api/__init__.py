"""Layer 0: the kinds a user writes, as types. No I/O, no clock, no Kubernetes client."""
