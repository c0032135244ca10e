"""The four facts as chains of checks: the first check that finds something gives the condition.

A check is named for what it finds. The chains read from top to bottom as what must hold for the
next stage to make sense, so that of six symptoms the first, the cause, is told.
"""

from __future__ import annotations

from collections.abc import Callable

from freehold.status.outcome import Finding, Outcome
from freehold.status.past import Past

Check = Callable[[Outcome, Past], Finding | None]


def first_finding(
    checks: tuple[Check, ...], outcome: Outcome, past: Past, well: Finding
) -> Finding:
    """Return what the first check of a chain finds, or ``well`` when none does."""
    for check in checks:
        found = check(outcome, past)
        if found is not None:
            return found
    return well
