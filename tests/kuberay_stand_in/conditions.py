"""Conditions, in a list that keeps their order."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.kuberay_stand_in.api import Object


def now() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find(status: Object, type: str) -> Object | None:
    """Return a condition of a status."""
    return next((item for item in status.get("conditions") or [] if item["type"] == type), None)


def is_true(status: Object, type: str) -> bool:
    """Return whether a condition is there and true."""
    found = find(status, type)
    return found is not None and found["status"] == "True"


def set_condition(
    status: Object, type: str, value: str, reason: str, message: str = "", generation: int = 0
) -> None:
    """Set a condition; its time changes with its value alone."""
    told: Object = {"type": type, "status": value, "reason": reason, "message": message}
    if generation:
        told["observedGeneration"] = generation
    found = find(status, type)
    if found is None:
        status.setdefault("conditions", []).append({**told, "lastTransitionTime": now()})
        return
    same = found["status"] == value
    found.update(told, lastTransitionTime=found["lastTransitionTime"] if same else now())


def remove(status: Object, type: str) -> None:
    """Remove a condition."""
    status["conditions"] = [item for item in status.get("conditions") or [] if item["type"] != type]
