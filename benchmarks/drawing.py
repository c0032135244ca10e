"""How benchmarks draw: SVG that comes out the same for the same figures."""

from __future__ import annotations

from typing import Any


def drawing() -> Any:
    """Return matplotlib's pyplot; it needs no display, and nothing random stands in its files."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "freehold"
    from matplotlib import pyplot

    return pyplot
