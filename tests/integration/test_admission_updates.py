"""What the policies say of an object that was there before them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import wait_for
from tests.integration.admission import guarded_cluster, model, put_in_force

BEFORE = model(
    "before",
    model={"source": "file:///srv/models/one"},
    replicas=1,
    serviceAccountName="models",
    engine={"args": {"tensor_parallel_size": 2, "max_num_seqs": 8}},
    templates={
        "head": {"spec": {"hostNetwork": True}},
        "worker": {
            "spec": {
                "containers": [{"name": "ray-worker", "securityContext": {"privileged": True}}]
            }
        },
    },
)
ADDED = {"name": "more", "image": "x"}


@pytest.fixture(scope="module")
def before() -> Iterator[Cluster]:
    """A cluster with an object that each policy would refuse, and that was there before them."""
    with guarded_cluster({}) as cluster:
        cluster.kubectl("create", "namespace", "old")
        metadata = {"name": "before", "finalizers": ["example.com/held"]}
        cluster.apply({**BEFORE, "metadata": metadata}, namespace="old")
        put_in_force(cluster, "freehold", {}, "old")
        yield cluster


def patch(cluster: Cluster, *operations: tuple[str, str, Any], kept: bool = False) -> str:
    """Change the object as a JSON patch says, on trial unless it is to be kept."""
    steps = json.dumps([{"op": op, "path": path, "value": value} for op, path, value in operations])
    trial = [] if kept else ["--dry-run=server"]
    done = cluster.run(
        "kubectl", "patch", "fmd", "before", "-n", "old", "--type=json", "-p", steps, *trial
    )
    return done.stderr.strip() if done.returncode else ""


@pytest.mark.parametrize(
    "operations",
    [
        [("add", "/metadata/labels", {"a": "b"})],
        [("replace", "/spec/replicas", 3)],
        [("add", "/spec/suspend", True)],
        [("replace", "/spec/engine/args/max_num_seqs", 16)],
        [("remove", "/spec/engine/args/tensor_parallel_size", None)],
        [("remove", "/spec/templates/worker", None)],
        [("add", "/spec/templates/worker", {"spec": {"priorityClassName": "models"}})],
        [("replace", "/spec/model/source", "hf://a/b")],
        [("remove", "/metadata/finalizers", None)],
    ],
    ids=str,
)
def test_what_was_there_before_can_be_changed_elsewhere_and_mended(
    before: Cluster, operations: list[tuple[str, str, Any]]
) -> None:
    assert patch(before, *operations) == ""


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (("replace", "/spec/engine/args/tensor_parallel_size", 4), "tensor_parallel_size: found 4"),
        (("add", "/spec/engine/args/nnodes", 2), "spec.engine.args.nnodes: found 2"),
        (
            ("replace", "/spec/model/source", "file:///srv/models/two"),
            "found file:///srv/models/two",
        ),
        # a container that was let through is not let through as another one
        (
            ("add", "/spec/templates/worker/spec/containers/0/image", "x"),
            "securityContext.privileged",
        ),
        (("add", "/spec/templates/worker/spec/containers/-", ADDED), "securityContext.privileged"),
        (("add", "/spec/templates/head/spec/hostPID", True), "head.spec.hostPID: found true"),
        (
            ("replace", "/spec/serviceAccountName", "admin"),
            "securityContext.privileged: found true",
        ),
    ],
    ids=str,
)
def test_what_was_there_before_does_not_get_worse(
    before: Cluster, operation: tuple[str, str, Any], told: str
) -> None:
    assert told in patch(before, operation)


def test_what_was_there_before_scales_gets_a_status_and_goes(before: Cluster) -> None:
    what = ("fmd", "before", "-n", "old")
    before.kubectl("scale", *what, "--replicas=5")
    status = json.dumps({"status": {"observedGeneration": 1}})
    before.kubectl("patch", *what, "--subresource=status", "--type=merge", "-p", status)
    before.kubectl("delete", *what, "--wait=false")
    assert patch(before, ("remove", "/metadata/finalizers", None), kept=True) == ""
    wait_for("it is gone", lambda: before.get("fmd", "before", "old") is None, 30)
