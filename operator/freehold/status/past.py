"""The status as it was written last: what the new one is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from freehold.api.conditions import ConditionType
from freehold.status.raw import ConditionState, conditions, find, instant


@dataclass(frozen=True, slots=True)
class Past:
    """The former status.

    Attributes:
        raw: The whole of it, as it stands.
        conditions: Its conditions, as far as they can be read.
    """

    raw: Mapping[str, Any]
    conditions: tuple[ConditionState, ...]

    def of(self, kind: ConditionType) -> ConditionState | None:
        """Return a condition."""
        return find(self.conditions, kind)

    def was(self, kind: ConditionType) -> bool:
        """Return whether a condition was True."""
        found = self.of(kind)
        return found is not None and found.status == "True"

    def had(self, kind: ConditionType, reason: str) -> bool:
        """Return whether a condition bore a reason."""
        found = self.of(kind)
        return found is not None and found.reason == reason

    def since(self, kind: ConditionType) -> datetime | None:
        """Return when a condition last changed."""
        found = self.of(kind)
        return instant(found.since) if found else None


def read_past(raw: Mapping[str, Any]) -> Past:
    """Return what is to be known of a former status, whatever stands there."""
    return Past(raw, conditions(raw.get("conditions")))
