"""KubeRay in tests: its kinds, and a real operator or the stand-in, with a fake of Ray or real.

``FREEHOLD_KUBERAY_CRDS`` names a folder with KubeRay's own CRDs; without it there are minimal ones.
``FREEHOLD_KUBERAY_OPERATOR`` names the binary of a real KubeRay operator; without it the stand-in
runs. Both reach the fake through ``HTTP_PROXY`` alone. Where pods run, a real operator reaches Ray
through the API server, since one outside of the cluster has no DNS, and the stand-in by the pods'
addresses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes, Server
from tests.fake_ray.control import Control
from tests.fake_ray.running import fake_ray
from tests.installation import ROOT

OPERATOR, CRDS = "FREEHOLD_KUBERAY_OPERATOR", "FREEHOLD_KUBERAY_CRDS"
_DATA = Path(__file__).parent / "data"
_MINIMAL_CRDS = _DATA / "kuberay_minimal_crds.yaml"
_RAY_JOBS = _DATA / "kuberay_rayjob_crd.yaml"
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class KubeRay:
    """A running KubeRay, or what stands in for it.

    Attributes:
        ray: Steers the fake of Ray, and tells what was asked of it.
        server: The process; it can be stopped, frozen and started again.
        real: Whether it is a real operator.
    """

    ray: Control
    server: Server
    real: bool

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which a process finds the fake where the cluster's Rays would be."""
        return proxied(self.ray.url)


def kuberay_crds() -> Path:
    """Return the folder of KubeRay's own CRDs, or the file of the minimal ones."""
    folder = os.environ.get(CRDS)
    return Path(folder) if folder else _MINIMAL_CRDS


def which_crds() -> str:
    """Return in words which CRDs are taken."""
    return os.environ.get(CRDS) or f"minimal ones, since {CRDS} is not set"


def which_operator() -> str:
    """Return in words which operator is taken."""
    return os.environ.get(OPERATOR) or f"a stand-in, since {OPERATOR} is not set"


def proxied(url: str) -> dict[str, str]:
    """Return this process's environment with the fake at ``url`` as its only proxy."""
    # Go and aiohttp read the one or the other
    return {**_unproxied(), "HTTP_PROXY": url, "http_proxy": url}


def _unproxied() -> dict[str, str]:
    ours = {name for key in _PROXY_VARIABLES for name in (key, key.lower())}
    return {name: value for name, value in os.environ.items() if name not in ours}


@contextmanager
def running_kuberay(cluster: Cluster, processes: Processes, *stand_in: str) -> Iterator[KubeRay]:
    """Run KubeRay against a cluster that has its CRDs; it ends with the processes.

    Args:
        cluster: The cluster.
        processes: Where it is started.
        stand_in: Further arguments of the stand-in.
    """
    with fake_ray(cluster.kubeconfig) as ray:
        server = _start(cluster, processes, proxied(ray.url), stand_in=stand_in)
        yield KubeRay(ray, server, bool(os.environ.get(OPERATOR)))


def start_kuberay_of_real_pods(cluster: Cluster, processes: Processes, *stand_in: str) -> Server:
    """Run KubeRay against a cluster with its CRDs whose pods run; it ends with the processes.

    Args:
        cluster: The cluster; this machine reaches the addresses of its pods.
        processes: Where it is started.
        stand_in: Further arguments of the stand-in.
    """
    real = ("--use-kubernetes-proxy",)
    return _start(cluster, processes, _unproxied(), real=real, stand_in=stand_in)


def _start(
    cluster: Cluster,
    processes: Processes,
    environment: dict[str, str],
    *,
    real: Sequence[str] = (),
    stand_in: Sequence[str] = (),
) -> Server:
    """Start either, each with further arguments of its own; returns once it watches."""
    binary = os.environ.get(OPERATOR)
    if binary:
        cluster.apply_crds(_RAY_JOBS)
    command = [*_real(binary, cluster), *real] if binary else [*_stand_in(cluster), *stand_in]
    server = processes.start("kuberay", command, {**environment, "PYTHONPATH": str(ROOT)})
    server.says('"Starting workers"' if binary else "watches")
    return server


def _real(binary: str, cluster: Cluster) -> list[str]:
    return [
        binary,
        f"--kubeconfig={cluster.kubeconfig}",
        "--enable-leader-election=false",
        "--metrics-addr=0",
        "--health-probe-bind-address=0",
        # one slow Ray would hold up all others
        "--reconcile-concurrency=4",
    ]


def _stand_in(cluster: Cluster) -> list[str]:
    module = [sys.executable, "-m", "tests.kuberay_stand_in"]
    return [*module, f"--kubeconfig={cluster.kubeconfig}"]
