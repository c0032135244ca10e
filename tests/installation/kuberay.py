"""KubeRay in tests: its kinds, and a real operator or the stand-in with the fake of Ray behind it.

``FREEHOLD_KUBERAY_CRDS`` names a folder with KubeRay's own CRDs; without it there are minimal ones.
``FREEHOLD_KUBERAY_OPERATOR`` names the binary of a real KubeRay operator; without it the stand-in
runs. Both reach Ray through ``HTTP_PROXY`` alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
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
    ours = {name for key in _PROXY_VARIABLES for name in (key, key.lower())}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    # Go and aiohttp read the one or the other
    return {**kept, "HTTP_PROXY": url, "http_proxy": url}


@contextmanager
def running_kuberay(cluster: Cluster, processes: Processes, *stand_in: str) -> Iterator[KubeRay]:
    """Run KubeRay against a cluster that has its CRDs; it ends with the processes.

    Args:
        cluster: The cluster.
        processes: Where it is started.
        stand_in: Further arguments of the stand-in.
    """
    binary = os.environ.get(OPERATOR)
    if binary:
        cluster.apply_crds(_RAY_JOBS)
    with fake_ray(cluster.kubeconfig) as ray:
        command = _real(binary, cluster) if binary else [*_stand_in(cluster), *stand_in]
        environment = {**proxied(ray.url), "PYTHONPATH": str(ROOT)}
        server = processes.start("kuberay", command, environment)
        server.says('"Starting workers"' if binary else "watches")
        yield KubeRay(ray, server, bool(binary))


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
