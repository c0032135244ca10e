"""A log of scaling decisions, and what the policy makes of it once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from freehold.serving.autoscaling.decision_log import recorded
from freehold.serving.autoscaling.policy import Decision, State, decide


def made_again(lines: Iterable[Mapping[str, Any]]) -> list[Decision]:
    """Return what the policy decides of what was seen, from the first line on."""
    state: State | None = None
    found = []
    for line in lines:
        seen, settings = recorded(line)
        decision = decide(seen, None if line.get("first") else state, settings)
        state = decision.state
        found.append(decision)
    return found
