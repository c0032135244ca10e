"""What breaks under a model whose Ray cluster keeps its state in a Redis.

A module of its own, so that no other model has the cores meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.cluster.load import Load
from tests.cluster.model import ENGINE_SECONDS, Model
from tests.control_plane.cluster import holds
from tests.faults.conftest import Keep
from tests.faults.redis import ENTRY, PASSWORD, SECRET, VALUES, redis
from tests.faults.story import under_load
from tests.faults.test_while_it_serves import engine_workers
from tests.node.installation import QUICK_START, Installation, upgraded


@pytest.fixture(scope="module")
def kept(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """The quick start's model with one replica that answers, rolled out with a Redis."""
    cluster, folder = installation.cluster, tmp_path_factory.mktemp("charts")
    with (
        redis(installation.node.plane.processes),
        upgraded(cluster, folder, VALUES),
        Model.deployed(cluster, QUICK_START, "kept") as model,
    ):
        # its pods wait for it
        literal = f"--from-literal={ENTRY}={PASSWORD}"
        model.kubectl("create", "secret", "generic", SECRET, literal)
        model.edit(autoscaling={"minReplicas": 1, "maxReplicas": 1})
        model.wait("Ready", "True", "Answers", ENGINE_SECONDS)
        model.until("clients are led to the worker", lambda: leads_to_workers(model))
        yield model
        # its Secrets must be there while KubeRay empties the Redis
        model.edit(suspend=True)
        model.until("the cluster is gone", lambda: not cluster.list("rayclusters", model.namespace))


def test_the_head_is_deleted_where_its_state_is_kept(kept: Model, keep: Keep) -> None:
    (head,), workers, engine = kept.pods("head"), kept.pods("worker"), pids()
    with under_load("The head pod is deleted, its state is in a Redis", kept) as story:
        kept.kubectl("delete", "pod", head, "--wait=false")
        kept.until("another head is there", lambda: set(kept.pods("head")) - {head})
        kept.until("it is ready", lambda: head_is_ready(kept))
        back = time.monotonic()
    keep(story)
    assert (kept.pods("worker"), pids()) == (workers, engine), "the engine is another one"
    assert story.load is not None and story.load.lost == []
    assert answered_between(story.load, story.began, back) > 0
    kinds = "pods,rayservices,rayclusters,configmaps,controllerrevisions,events,fmd"
    assert PASSWORD not in kept.kubectl("get", kinds, "--output=json")


def pids() -> list[int]:
    """Return the process ids of the engine's workers."""
    return [it.pid for it in engine_workers()]


def head_is_ready(model: Model) -> bool:
    """Whether the one head that is to stay is ready."""
    return any(holds(it, "Ready") for it in model.standing("head"))


def leads_to_workers(model: Model) -> bool:
    """Whether the endpoint's Service selects workers, too."""
    service = model.cluster.get("service", model.name, model.namespace)
    return service is not None and "ray.io/node-type" not in service["spec"]["selector"]


def answered_between(asked: Load, since: float, until: float) -> int:
    """Return how many requests were sent and answered in a time on the monotonic clock."""
    return sum(
        it.status == 200 and it.began > since and it.began + it.seconds < until
        for it in asked.ended
    )
