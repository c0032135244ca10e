"""What KubeRay makes of RayServices, object by object, against what a real one was seen to make.

``tests/data/kuberay/made`` has for each case the RayService that was given, as Freehold rendered
it, and the pods, Services, rights and statuses that a real operator made of it. With a real
operator ``FREEHOLD_UPDATE_GOLDEN=1`` writes both anew, from what Freehold renders now.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import wait_for
from tests.installation.hardware import nodes
from tests.installation.kuberay import KubeRay
from tests.integration.harness import ROOT
from tests.integration.kuberay_facts import facts
from tests.integration.ray_services import Object, ray_service
from tests.integration.recording import conditions

MADE, GOLDEN = ROOT / "tests/data/kuberay/made", ROOT / "tests/golden"
UPDATE = "FREEHOLD_UPDATE_GOLDEN"
SECONDS = 90.0
# one pod for a replica and several, replicas from zero, other containers and accounts; Recreate
RENDERED = ("cpu-on-a-cluster", "llama-3.1-405b", "llama-3.1-8b")
CASES = (*RENDERED, "plain")


@pytest.fixture(scope="module", autouse=True)
def hardware(cluster: Cluster) -> Iterator[None]:
    """Nodes for all that Freehold's examples ask for."""
    with cluster.standing(nodes()):
        yield


def rendered(case: str) -> Object:
    """Return the RayService of a case as Freehold renders it now."""
    if case not in RENDERED:
        return ray_service()
    item: Object = yaml.safe_load((GOLDEN / case / "ray-service.yaml").read_text())
    del item["metadata"]["namespace"]
    return item


def given(case: str, *, update: bool) -> Object:
    """Return the RayService of a case: as it was when it was recorded, or as it is now."""
    path = MADE / f"{case}.yaml"
    if update:
        path.write_text(yaml.safe_dump(rendered(case), sort_keys=False, width=100))
    item: Object = yaml.safe_load(path.read_text())
    return item


@pytest.mark.parametrize("case", CASES)
def test_what_is_made_is_what_a_real_operator_made(
    case: str, cluster: Cluster, kuberay: KubeRay, namespace: str
) -> None:
    update = bool(os.environ.get(UPDATE))
    assert kuberay.real or not update, "what is recorded has to come from a real operator"
    item = given(case, update=update)
    name = item["metadata"]["name"]
    apply_all(cluster, namespace, item)
    wait_for("it is ready", lambda: is_ready(cluster, namespace, name), SECONDS)
    wake(cluster, namespace)
    recorded = MADE / f"{case}.json"
    if update:
        wait_for("all is quiet", lambda: is_quiet(cluster, namespace), SECONDS)
        write(recorded, facts(cluster, namespace, name))
    wanted = json.loads(recorded.read_text())
    found: list[Any] = []

    def same() -> bool:
        found[:] = [facts(cluster, namespace, name)]
        return bool(found[0] == wanted)

    try:
        wait_for("all is as recorded", same, SECONDS, every=0.5)
    except TimeoutError:
        pytest.fail("\n".join(difflib.unified_diff(lines(wanted), lines(found[0]), "real", "here")))


def apply_all(cluster: Cluster, namespace: str, item: Object) -> None:
    """Apply a RayService and what its pods refer to and cannot be made without."""
    config = item["spec"]["rayClusterConfig"]
    specs = [config["headGroupSpec"], *config["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in specs]
    token = config.get("authOptions", {}).get("secretName")
    for name in filter(None, [token]):
        secret = named("v1", "Secret", name) | {"stringData": {"auth_token": "token"}}
        cluster.apply(secret, namespace=namespace)
    for name in {spec["serviceAccountName"] for spec in pods if "serviceAccountName" in spec}:
        cluster.apply(named("v1", "ServiceAccount", name), namespace=namespace)
    for name in {spec["priorityClassName"] for spec in pods if "priorityClassName" in spec}:
        cluster.apply(named("scheduling.k8s.io/v1", "PriorityClass", name) | {"value": 1})
    for volume in (it for spec in pods for it in spec.get("volumes", [])):
        if "persistentVolumeClaim" in volume:
            bind(cluster, namespace, volume["persistentVolumeClaim"]["claimName"])
    cluster.apply(item, namespace=namespace)


def bind(cluster: Cluster, namespace: str, claim: str) -> None:
    """Make a claim and a volume for it; no pod of these is put on a node before."""
    both = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = f"{namespace}-{claim}"
    asked = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": volume}
    has = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/weights"}}
    cluster.apply(named("v1", "PersistentVolume", volume) | {"spec": both | has})
    wanted = named("v1", "PersistentVolumeClaim", claim) | {"spec": both | asked}
    cluster.apply(wanted, namespace=namespace)


def named(version: str, kind: str, name: str) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def is_ready(cluster: Cluster, namespace: str, name: str) -> bool:
    told = conditions(cluster.get("rayservice", name, namespace) or {})
    return (
        told.get("Ready") == "True/NonZeroServeEndpoints"
        and told.get("UpgradeInProgress") == "False/NoPendingCluster"
    )


def wake(cluster: Cluster, namespace: str) -> None:
    """Ask for a replica of a cluster that has none, as Ray's autoscaler does."""
    (live,) = cluster.list("rayclusters", namespace)
    (group,) = live["spec"]["workerGroupSpecs"]
    if not group["replicas"]:
        change = [{"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 1}]
        name = live["metadata"]["name"]
        patch = ("patch", "raycluster", name, "--type=json", f"--patch={json.dumps(change)}")
        cluster.kubectl("--namespace", namespace, *patch)


def is_quiet(cluster: Cluster, namespace: str) -> bool:
    """Return whether all pods of the only RayCluster are ready, and all of them are endpoints."""
    (live,) = cluster.list("rayclusters", namespace)
    (service,) = cluster.list("rayservices", namespace)
    (group,) = live["spec"]["workerGroupSpecs"]
    told, workers = live.get("status", {}), group["replicas"] * group["numOfHosts"]
    return (
        told.get("state") == "ready"
        and told.get("readyWorkerReplicas", 0) == workers
        and service["status"].get("numServeEndpoints") == workers + 1
    )


def write(path: Path, found: Object) -> None:
    path.write_text("\n".join([*lines(found), ""]))


def lines(found: Object) -> list[str]:
    return json.dumps(found, indent=1, sort_keys=True).splitlines()
