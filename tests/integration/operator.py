"""The operator in tests: the real process, beside a real API server and KubeRay or its stand-in."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode, Taint
from tests.control_plane.processes import Processes, Server, wait_for
from tests.integration.harness import ROOT
from tests.ports import free_port

# No hub is reached from here; a model that is not in the catalogue is described in the manifest.
_OFFLINE = {"HF_HUB_OFFLINE": "1"}
# A node pool of a rack: two nodes of eight H100, four of one L4, and one for heads.
_GPU = Taint("nvidia.com/gpu")
_H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8"}
_L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"}
_LARGE = {"cpu": "192", "memory": "2000Gi", "nvidia.com/gpu": "8"}
_SMALL = {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}
RACK = (
    SimulatedNode("h100-a", _H100, [_GPU], _LARGE),
    SimulatedNode("h100-b", _H100, [_GPU], _LARGE),
    *(SimulatedNode(f"l4-{i}", _L4, [_GPU], _SMALL) for i in range(4)),
    SimulatedNode("heads", allocatable={"cpu": "64", "memory": "256Gi"}),
)
_READS = ("get", "list", "watch")
# What each step may take on a busy machine; a test waits for conditions, not for this.
PATIENCE_S = 60.0


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operator:
    """A running operator.

    Attributes:
        server: Its process; it can be stopped, killed, frozen and started again.
        port: Where its metrics and probes are.
    """

    server: Server
    port: int

    def get(self, path: str) -> str:
        """Return what it answers at a path, such as ``/metrics``."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def passes(self) -> float:
        """Return how many passes have come to their end."""
        return self.metric('freehold_pass_duration_seconds_count{outcome="done"}')

    def writes(self) -> dict[tuple[str, str], float]:
        """Return the count of its writes to the API server, by verb and resource."""
        found: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(self.get("/metrics")):
            for it in family.samples if family.name == "freehold_api_requests" else ():
                place = it.labels["verb"], it.labels["resource"]
                if it.name.endswith("_total") and place[0] not in _READS:
                    found[place] = found.get(place, 0) + it.value
        return found

    def metric(self, sample: str) -> float:
        """Return a sample such as ``freehold_queue_depth``; 0 where there is none."""
        for line in self.get("/metrics").splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        return 0.0


def many_l4(nodes: int) -> list[SimulatedNode]:
    """Return nodes of eight L4 each, for tests of many models."""
    labels = {**_L4, "nvidia.com/gpu.count": "8"}
    return [
        SimulatedNode(
            f"l4-by-eight-{i}",
            labels,
            [_GPU],
            {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": "8"},
        )
        for i in range(nodes)
    ]


def example(name: str, **spec: Any) -> dict[str, Any]:
    """Return an example's manifest with fields of its spec replaced, or left out for None."""
    path = ROOT / "examples" / f"{name}.yaml"
    manifest: dict[str, Any] = yaml.safe_load(path.read_text())
    changed = manifest["spec"] | spec
    return manifest | {"spec": {key: it for key, it in changed.items() if it is not None}}


def until(what: str, found: Callable[[], T]) -> T:
    """Wait until something is found, and return it."""
    return wait_for(what, found, PATIENCE_S)


def start_operator(
    processes: Processes,
    kubeconfig: Path,
    environment: Mapping[str, str],
    *arguments: str,
    name: str = "operator",
    package: Path = ROOT / "operator",
) -> Operator:
    """Start an operator and wait until it has listed everything, or stands by.

    Args:
        processes: What it ends with.
        kubeconfig: Its cluster and account.
        environment: Its environment; it is offline unless this says otherwise.
        arguments: Of ``freehold operator``.
        name: Name of the process.
        package: Folder with the package of the release that runs.
    """
    port = free_port()
    key = processes.folder / "install.key"
    key.write_bytes(b"of tests, so the same for all operators of one")
    own = (f"--metrics-port={port}", f"--install-key-file={key}")
    command = [sys.executable, "-m", "freehold", "operator", *own, *arguments]
    server = processes.start(
        name,
        command,
        {
            **_OFFLINE,
            **environment,
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(package),
            "NO_PROXY": "127.0.0.1,localhost",
        },
    )
    operator = Operator(server, port)
    wait_until_ready(operator)
    return operator


def wait_until_ready(operator: Operator) -> None:
    """Wait until an operator that was started says that it is ready."""
    operator.server.ready_when(lambda: _answers(operator, "/readyz"))


def _answers(operator: Operator, path: str) -> bool:
    try:
        return bool(operator.get(path))
    except OSError:
        return False


def apply_model(cluster: Cluster, namespace: str, manifest: Mapping[str, Any]) -> None:
    """Apply a manifest as a user does, with kubectl."""
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))


def condition(model: Mapping[str, Any] | None, kind: str) -> dict[str, Any]:
    """Return a condition of a model, {} where there is none."""
    found = ((model or {}).get("status") or {}).get("conditions") or []
    return next((it for it in found if it["type"] == kind), {})


def wait_for_condition(
    cluster: Cluster, namespace: str, name: str, kind: str, status: str, reason: str = ""
) -> dict[str, Any]:
    """Wait until a model's condition has a status, and a reason where one is given."""

    def reached() -> dict[str, Any] | None:
        model = cluster.get("fmd", name, namespace)
        found = condition(model, kind)
        current = (model or {}).get("metadata", {}).get("generation")
        holds = found.get("status") == status and found.get("observedGeneration") == current
        return model if holds and found.get("reason") == (reason or found.get("reason")) else None

    try:
        return wait_for(f"{kind}={status} {reason}", reached, PATIENCE_S)
    except TimeoutError as error:
        told = (cluster.get("fmd", name, namespace) or {}).get("status")
        raise TimeoutError(f"{error}; the status is {json.dumps(told, indent=1)}") from None
