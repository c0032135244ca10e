"""Changes that go wrong under a model that serves: the former revision answers throughout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cluster.model import ENGINE_SECONDS, Model
from tests.faults.conftest import Keep
from tests.faults.story import under_load
from tests.faults.weights import UNKNOWN, with_architecture

# An image is missed within seconds; on cores that another engine uses, one fails after minutes.
SHORT, OF_AN_ENGINE = {"progressDeadline": "60s"}, {"progressDeadline": "300s"}


def test_an_image_cannot_be_pulled(served: Model, keep: Keep) -> None:
    absent = {"accelerator": "cpu", "image": "registry.example.com/absent:1"}
    fault = "An image is rolled out that is nowhere"
    _goes_back(served, keep, fault, rollout=SHORT, engine={"images": [absent]})


def test_an_engine_has_too_little_memory(served: Model, keep: Keep) -> None:
    fault = "Workers are limited to less memory than an engine needs"
    message = _goes_back(served, keep, fault, templates=_limited("memory", "600Mi"))
    # Ray ends the engine before the kernel would, and says of how much
    assert "OutOfMemoryError" in message and "0.59GB limit" in message


def test_a_worker_has_too_little_memory(served: Model, keep: Keep) -> None:
    fault = "Workers are limited to less memory than Ray needs"
    soon = {"progressDeadline": "120s"}
    message = _goes_back(served, keep, fault, rollout=soon, templates=_limited("memory", "64Mi"))
    assert "OOMKilled" in message


def test_a_worker_has_too_little_disk(served: Model, keep: Keep) -> None:
    fault = "Workers are limited to less disk than they write"
    message = _goes_back(served, keep, fault, templates=_limited("ephemeral-storage", "64Ki"))
    assert "evicted" in message and "64Ki" in message


def test_an_argument_that_the_engine_refuses(served: Model, keep: Keep) -> None:
    args = {"tokenizer": "/nowhere"}
    _goes_back(served, keep, "An engine argument names a missing file", engine={"args": args})


def test_weights_of_an_unknown_architecture(
    served: Model, broken_weights: Path, keep: Keep
) -> None:
    folder = with_architecture(broken_weights / "architecture", UNKNOWN)
    fault = "Weights of an architecture are rolled out that the engine does not know"
    message = _goes_back(served, keep, fault, model={"source": f"file://{folder}"})
    assert UNKNOWN in message


def test_two_rollouts_in_a_row(served: Model, keep: Keep) -> None:
    with under_load("A second rollout begins while the first one starts", served) as story:
        served.edit(engine={"args": {"seed": 1}})
        served.until("a successor starts", lambda: len(served.pods("worker")) == 2)
        served.edit(engine={"args": {"seed": 2}})
        served.until("the last one serves", lambda: _serves_the_last(served), 2 * ENGINE_SECONDS)
    keep(story)
    assert story.load is not None and story.load.lost == []


def _goes_back(
    served: Model, keep: Keep, fault: str, *, rollout: dict[str, str] = OF_AN_ENGINE, **spec: Any
) -> str:
    """Roll out what cannot serve, see it given up and take it back; returns what was told."""
    before = served.status["currentRevision"]
    undo = _former(served, spec)
    with under_load(fault, served) as story:
        served.edit(rollout=rollout, **spec)
        told = served.wait("Stalled", "True", "RolledBack", ENGINE_SECONDS)
        story.told = told["message"]
        served.edit(rollout=None, **undo)
    keep(story)
    assert story.load is not None and story.load.lost == []
    assert served.status["currentRevision"] == before
    return str(story.told)


def _limited(resource: str, limit: str) -> dict[str, Any]:
    """Return templates whose workers may take no more of a resource."""
    resources = {"requests": {"cpu": "200m", resource: limit}, "limits": {resource: limit}}
    container = {"name": "ray-worker", "resources": resources}
    return {"worker": {"spec": {"containers": [container]}}}


def _former(model: Model, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as they stand, None for those that are not there."""
    now = model.now["spec"]
    return {name: now.get(name) for name in spec}


def _serves_the_last(model: Model) -> bool:
    status = model.status
    observed = status.get("observedGeneration") == model.now["metadata"]["generation"]
    return observed and status["currentRevision"] == status["updateRevision"]
