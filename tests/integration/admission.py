"""The chart's admission policies in tests: sets of values, each for a namespace of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import wait_for
from tests.installation.helm import rendered_objects
from tests.integration.harness import ROOT
from tests.integration.refusals import refusals

POLICIES = ("engine-arguments", "pod-templates", "model-sources")
Spec = dict[str, Any]


def model(name: str, **spec: Any) -> dict[str, Any]:
    """Return a ModelDeployment with these fields of its spec."""
    return {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"source": "hf://a/b"}, **spec},
    }


def args(**arguments: Any) -> Spec:
    """Return the part of a spec that has these engine arguments."""
    return {"engine": {"args": arguments}}


def worker(**spec: Any) -> Spec:
    """Return the part of a spec that lays this over the pod spec of the workers."""
    return {"templates": {"worker": {"spec": spec}}}


def source(path: str) -> Spec:
    """Return the part of a spec that takes the model from a path of the nodes."""
    return {"model": {"source": f"file://{path}"}}


def refused(cluster: Cluster, namespace: str, **spec: Any) -> str:
    """Return what the API server says against a spec, "" where it would be created."""
    text = json.dumps(model("one", **spec))
    return refusals(cluster, namespace, {"one": text}, "--dry-run=server")["one"]


# What each policy refuses whatever the values are; by this it is seen to be in force.
_PROBES: dict[str, Spec] = {
    "engine-arguments": args(tensor_parallel_size=2),
    "pod-templates": {"templates": {"worker": {"spec": 7}}},
    "model-sources": source("/a/../b"),
}


def put_in_force(cluster: Cluster, release: str, values: Mapping[str, Any], probed: str) -> None:
    """Apply the policies of the chart, and wait until they refuse in the probed namespace."""
    found = rendered_objects(cluster, {**values, "fullnameOverride": release})
    policies = [it for it in found if it["kind"].startswith("ValidatingAdmissionPolicy")]
    assert len(policies) == 2 * len(POLICIES)
    cluster.apply(*policies)
    for name in POLICIES:
        told = f"ValidatingAdmissionPolicy '{release}-{name}'"
        wait_for(told, lambda n=name, t=told: t in refused(cluster, probed, **_PROBES[n]), 60)


@contextmanager
def guarded_cluster(installed: Mapping[str, Mapping[str, Any]]) -> Iterator[Cluster]:
    """Start a cluster of its own, since policies belong to a whole one, with policies in force.

    Args:
        installed: Values below ``admission`` by the namespace that they are for.
    """
    with ControlPlane(simulate_nodes=False) as plane:
        plane.cluster.apply_crds(ROOT / "crds")
        for name, values in installed.items():
            plane.cluster.kubectl("create", "namespace", name)
            if values.get("enabled", True):
                given = {"watchNamespaces": [name], "admission": values}
                put_in_force(plane.cluster, name, given, name)
        yield plane.cluster
