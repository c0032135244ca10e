"""The initializing timeout: a RayService that is not ready in time is given up for good."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.kuberay_stand_in import ray_service_status as told
from tests.kuberay_stand_in.api import Object
from tests.kuberay_stand_in.conditions import find

ANNOTATION = "ray.io/initializing-timeout"
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def is_given_up(status: Object) -> bool:
    """Return whether it was given up, whatever became of its spec since."""
    ready = find(status, "Ready") or {}
    return ready.get("status") == "False" and ready.get("reason") == "InitializingTimeout"


def give_up_if_late(ray_service: Object) -> None:
    """Tell in the status that time is up, and of no cluster any more."""
    status, seconds = ray_service["status"], _seconds(ray_service)
    ready = find(status, "Ready") or {}
    if seconds is None or (ready.get("status"), ready.get("reason")) != ("False", "Initializing"):
        return
    since = datetime.fromisoformat(ready["lastTransitionTime"])
    spent = (datetime.now(UTC) - since).total_seconds()
    if spent < seconds:
        return
    for part in (told.ACTIVE, told.PENDING):
        status[part].pop("rayClusterName", None)
    words = f"RayService did not become ready within {seconds} s. Time spent: {spent:.1f} s"
    told.say(status, "Ready", "False", "InitializingTimeout", words)


def _seconds(ray_service: Object) -> int | None:
    """Return what the annotation says: whole seconds, or hours, minutes and seconds as in 1h30m."""
    text = (ray_service["metadata"].get("annotations") or {}).get(ANNOTATION)
    if not text:
        return None
    if text.isdigit():
        return int(text)
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
