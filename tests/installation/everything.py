"""All that a cluster to type at needs, put on a bare control plane step by step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.control_plane.pinned import module_of
from tests.control_plane.plane import ControlPlane
from tests.installation import ROOT, hardware
from tests.installation.describe_pods import reading_sources
from tests.installation.helm import (
    CHART,
    CRDS_CHART,
    CRDS_RELEASE,
    RELEASE,
    SYSTEM,
    install,
)
from tests.installation.kuberay import KubeRay, kuberay_crds, running_kuberay, which_crds
from tests.installation.operator_process import start_operator_process
from tests.ports import free_port

Tell = Callable[[str], None]
# There is no stock image for cores, and the demo's weights lie in a folder of the nodes.
_CORES = ROOT / "examples" / "quickstart" / "cores.yaml"
_WEIGHTS = "/var/tmp/freehold"
# The way to the hub is the one of whoever brings the cluster up.
_OF_THE_HUB = ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HTTPS_PROXY")


@contextmanager
def everything(plane: ControlPlane, tell: Tell) -> Iterator[None]:
    """Install KubeRay and Freehold, and run them as long as the context lasts.

    Args:
        plane: Servers that run; nothing is on them yet.
        tell: Is told of each step in a sentence.
    """
    cluster, version = plane.cluster, module_of("kube-apiserver").version
    tell(f"a control plane of Kubernetes {version} at {plane.url}, without a kubelet")
    cluster.add_nodes(hardware.nodes())
    tell(f"simulated nodes: {', '.join(map(str, hardware.POOLS))}")
    cluster.apply_crds(kuberay_crds())
    tell(f"KubeRay's kinds: {which_crds()}")
    with running_kuberay(cluster, plane.processes) as kuberay:
        what = "a real operator" if kuberay.real else "a stand-in for its operator"
        tell(f"KubeRay: {what}, and a fake of Ray in place of engines; nothing runs in pods here")
        _install_charts(cluster, kuberay)
        tell(f"charts: {CRDS_RELEASE} and {RELEASE}, by Helm into the namespace {SYSTEM}")
        cluster.kubectl("apply", "--server-side", f"--filename={_CORES}")
        tell(f"an AcceleratorClass with an image for cores: {_CORES.relative_to(ROOT)}")
        log = _run_operator(plane)
        tell(f"the operator, as a process with its Deployment's arguments and account; log: {log}")
        tell("what pods that read sources would run, as processes; no hub is asked")
        with reading_sources(cluster):
            yield


def _install_charts(cluster: Cluster, kuberay: KubeRay) -> None:
    cluster.kubectl("create", "namespace", SYSTEM)
    install(cluster, CRDS_RELEASE, CRDS_CHART)
    install(cluster, RELEASE, CHART, _values(kuberay))


def _values(kuberay: KubeRay) -> Mapping[str, Any]:
    """Return the chart's values: the way to the models' clusters, and a port that is free here."""
    # the clusters' Rays are reached by the fake's proxy, the API server and the probes directly
    environment = {"HTTP_PROXY": kuberay.ray.url, "NO_PROXY": "127.0.0.1,localhost"}
    environment |= {name: os.environ[name] for name in _OF_THE_HUB if name in os.environ}
    return {
        "metrics": {"port": free_port()},
        "extraEnv": [{"name": name, "value": value} for name, value in environment.items()],
        "admission": {"hostPathPrefixes": [_WEIGHTS]},
    }


def _run_operator(plane: ControlPlane) -> Path:
    """Run what the Deployment asks for in place of its first pod, and return its log."""
    deployment = plane.cluster.get("deployment", RELEASE, SYSTEM)
    assert deployment is not None, "Helm waited for it"
    pods = plane.cluster.list("pods", SYSTEM, "app.kubernetes.io/name=freehold")
    name = min(pod["metadata"]["name"] for pod in pods)
    operator = start_operator_process(plane.cluster, plane.processes, deployment, name)
    operator.wait_until_ready()
    return operator.server.log
