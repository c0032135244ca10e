"""Models applied with something wrong about them, and what is told until they are Ready."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from tests.cluster.model import Model
from tests.faults.story import Story, told_in_turn
from tests.node.installation import QUICK_START

# A source that was refused is read again every two minutes.
SECONDS = 300.0


def _quick_start() -> dict[str, Any]:
    return dict(yaml.safe_load(QUICK_START.read_text()))


def manifest(name: str, **spec: Any) -> str:
    """Return the quick start's model under another name, with other fields."""
    data = _quick_start()
    data["metadata"]["name"] = name
    for field, value in spec.items():
        data["spec"][field] = {**data["spec"].get(field, {}), **value}
    return json.dumps(data)


def worker_with(environment: list[dict[str, str]]) -> dict[str, Any]:
    """Return the templates of the quick start's workers, with more in their environment."""
    worker = _quick_start()["spec"]["templates"]["worker"]
    (container,) = worker["spec"]["containers"]
    container["env"] = environment
    return {"worker": worker}


@contextmanager
def new(fault: str, model: Model, /, **spec: Any) -> Iterator[Story]:
    """Apply a model that something is wrong with; at the end it is Ready at zero."""
    story = Story(fault, model, began=time.monotonic())
    model.kubectl("apply", "--filename=-", stdin=manifest(model.name, **spec))
    with told_in_turn(story):
        yield story
        model.wait("Ready", "True", "ScaledToZero", SECONDS)
        story.look()


def refused(model: Model) -> str:
    """Wait until the source is refused; returns why."""

    def told() -> str:
        planned = model.condition("Planned")
        known = planned.get("status") == "False" and planned["reason"] != "DescribingModel"
        return str(planned["message"]) if known else ""

    return str(model.until("its source is refused", told, SECONDS))
