"""Freehold as a user installs it, on a real node: KubeRay, packaged charts, the image in pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.control_plane.cluster import Cluster
from tests.control_plane.pinned import module_of
from tests.control_plane.processes import Server
from tests.installation import ROOT
from tests.installation.everything import Tell
from tests.installation.helm import (
    CHART,
    CRDS_CHART,
    CRDS_RELEASE,
    RELEASE,
    SYSTEM,
    helm,
    install,
)
from tests.installation.kuberay import (
    kuberay_crds,
    start_kuberay_of_real_pods,
    which_crds,
    which_operator,
)
from tests.node.images import Builder, Image, environment_mounts
from tests.node.machine import check_machine
from tests.node.node import RealNode

QUICK_START, CORES = (
    ROOT / "examples" / "quickstart" / it for it in ("gemma-3-270m.yaml", "cores.yaml")
)
VALUES: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name("values.yaml").read_text())


@dataclass(frozen=True)
class Installation:
    """A real node with KubeRay and Freehold on it.

    Attributes:
        node: The node and its control plane.
        kuberay: KubeRay's process, which runs beside the node.
    """

    node: RealNode
    kuberay: Server

    @property
    def cluster(self) -> Cluster:
        """The cluster, as its administrator sees it."""
        return self.node.plane.cluster


def images(builder: Builder) -> list[Image]:
    """Return all images that a node needs, made where they are not."""
    return [builder.pause(), builder.ray(_image_for_cores()), builder.operator(operator_image())]


@contextmanager
def node_with_kuberay(tell: Tell = lambda _: None) -> Iterator[Installation]:
    """Bring up a node with KubeRay, and everything that Freehold's charts will ask it for.

    Args:
        tell: Is told of each step in a sentence.

    Raises:
        NodeUnfit: This machine cannot carry a node.
        ServerFailed: Something did not start.
    """
    check_machine()
    loaded = images(Builder())
    tell(f"images: {', '.join(it.name for it in loaded)}")
    with RealNode(environment_mounts(), loaded) as node:
        cluster, version = node.plane.cluster, module_of("kubelet").version
        tell(f"a node of Kubernetes {version} with containerd; its API server is {node.plane.url}")
        cluster.apply_crds(kuberay_crds())
        tell(f"KubeRay's kinds: {which_crds()}")
        kuberay = start_kuberay_of_real_pods(cluster, node.plane.processes)
        tell(f"KubeRay's operator: {which_operator()}")
        yield Installation(node, kuberay)


def install_packaged(
    cluster: Cluster, folder: Path, values: Mapping[str, Any] | None = None
) -> None:
    """Install both charts from archives, and the class of cores with its image.

    Args:
        cluster: The cluster.
        folder: Where the archives are written.
        values: The operator chart's values beside those of ``values.yaml``.
    """
    cluster.kubectl("create", "namespace", SYSTEM)
    install(cluster, CRDS_RELEASE, package(cluster, CRDS_CHART, folder))
    install(cluster, RELEASE, package(cluster, CHART, folder), {**VALUES, **(values or {})})
    cluster.kubectl("apply", "--server-side", f"--filename={CORES}")


@contextmanager
def upgraded(cluster: Cluster, folder: Path, values: Mapping[str, Any]) -> Iterator[None]:
    """Upgrade the operator's release to more values; at the end it has the former ones.

    Args:
        cluster: The cluster.
        folder: Where the archive is written.
        values: Values beside those of ``values.yaml``.
    """
    archive = package(cluster, CHART, folder)
    install(cluster, RELEASE, archive, {**VALUES, **values})
    try:
        yield
    finally:
        install(cluster, RELEASE, archive, VALUES)


def package(cluster: Cluster, chart: Path, folder: Path) -> Path:
    """Return the archive that ``helm package`` makes of a chart."""
    said = helm(cluster, "package", chart, f"--destination={folder}")
    return Path(said.strip().rpartition(": ")[2])


def _image_for_cores() -> str:
    (image,) = yaml.safe_load(CORES.read_text())["spec"]["images"]
    return str(image["image"])


def operator_image() -> str:
    """Return the image that the operator's chart names by itself."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())["image"]
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    return f"{values['registry']}/{values['repository']}:{version}"
