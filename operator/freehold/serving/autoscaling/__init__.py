"""The scaling policy: pure, of the standard library alone."""
