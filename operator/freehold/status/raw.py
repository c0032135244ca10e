"""Reading what others wrote, without trusting its shape: what is missing or odd is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ConditionState:
    """A condition as it was read, of any object.

    Attributes:
        type: Its type.
        status: True, False or Unknown; "" where it has none.
        reason: Its reason.
        message: Its message.
        observed_generation: The generation it speaks of; None where it does not say.
        since: When its status last changed, as it stands; "" where it does not say.
    """

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int | None
    since: str


def mapping(value: Any, *path: str) -> Mapping[str, Any]:
    """Return the mapping under ``path``, or an empty one."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings of a list."""
    for item in value if isinstance(value, list | tuple) else ():
        if isinstance(item, Mapping):
            yield item


def text(value: Any) -> str:
    """Return a string as it is, anything else as ""."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int | None:
    """Return a whole number of 0 or more, also one that came as a float; anything else as None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value and 0 <= value < 2**63 else None


def conditions(value: Any) -> tuple[ConditionState, ...]:
    """Return the conditions of a list, those without a type left out."""
    return tuple(
        ConditionState(
            type=text(item.get("type")),
            status=text(item.get("status")),
            reason=text(item.get("reason")),
            message=text(item.get("message")),
            observed_generation=count(item.get("observedGeneration")),
            since=text(item.get("lastTransitionTime")),
        )
        for item in items(value)
        if text(item.get("type"))
    )


def find(states: tuple[ConditionState, ...], kind: str) -> ConditionState | None:
    """Return the condition of a type."""
    return next((item for item in states if item.type == kind), None)


def is_true(states: tuple[ConditionState, ...], kind: str) -> bool:
    """Return whether the condition of a type is there and True."""
    found = find(states, kind)
    return found is not None and found.status == "True"


def instant(value: str) -> datetime | None:
    """Return a timestamp of RFC 3339, or None for anything else."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def timestamp(moment: datetime) -> str:
    """Return a moment as Kubernetes writes it: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
