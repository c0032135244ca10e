"""Variations of what another test shows: `make thorough` tries all, `make test` some of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def every(names: Iterable[str], *, always: Iterable[str]) -> list[Any]:
    """Return parameters for all names, of which the others are left to ``make thorough``."""
    kept = set(always)
    return [
        pytest.param(name, marks=() if name in kept else pytest.mark.thorough) for name in names
    ]
