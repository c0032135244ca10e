"""Code that runs inside Ray, beside the engine. It imports nothing else of Freehold."""
