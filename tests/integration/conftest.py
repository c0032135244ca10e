"""Fixtures of the integration tests: a real control plane, a namespace for each test.

``FREEHOLD_TEST_KUBECONFIG`` names another cluster to test against; Freehold's and KubeRay's CRDs
are applied to it. ``FREEHOLD_KUBERAY_CRDS`` names a folder with KubeRay's own CRDs, and
``FREEHOLD_KUBERAY_OPERATOR`` the binary of a real KubeRay operator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.control_plane import build
from tests.control_plane.cluster import Cluster
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import Processes
from tests.faulty_api import FaultyApi
from tests.installation.kuberay import (
    KubeRay,
    kuberay_crds,
    running_kuberay,
    which_crds,
    which_operator,
)
from tests.integration.harness import (
    KUBECONFIG,
    ROOT,
    Kubectl,
    fresh_namespace,
    telling_processes,
)


def pytest_report_header() -> list[str]:
    cluster = os.environ.get(KUBECONFIG, "a control plane of its own")
    found = {
        "cluster": cluster,
        "KubeRay's CRDs": which_crds(),
        "KubeRay's operator": which_operator(),
    }
    return [f"integration tests: {what}: {value}" for what, value in found.items()]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the tools before the first test, whose time limit they would take, with progress."""
    here = Path(__file__).parent
    if session.config.option.collectonly or not any(here in i.path.parents for i in session.items):
        return
    capture = session.config.pluginmanager.get_plugin("capturemanager")
    if capture is None:
        build.ensure()
        return
    with capture.global_and_fixture_disabled():
        build.ensure()


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Servers of our own, whatever ``cluster`` is: for tests that stop or freeze one."""
    with ControlPlane(audit=True) as plane:
        plane.cluster.apply_crds(ROOT / "crds", kuberay_crds())
        yield plane


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A cluster with Freehold's and KubeRay's CRDs, shared by all tests."""
    if not (kubeconfig := os.environ.get(KUBECONFIG)):
        plane: ControlPlane = request.getfixturevalue("control_plane")
        return plane.cluster
    found = Cluster(Path(kubeconfig))
    found.apply_crds(ROOT / "crds", kuberay_crds())
    return found


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace, deleted after the test without waiting for what is in it."""
    with fresh_namespace(cluster) as name:
        yield name


@pytest.fixture(scope="module")
def shared_namespace(cluster: Cluster) -> Iterator[str]:
    """The same for all tests of a module, which tell their objects apart by name."""
    with fresh_namespace(cluster) as name:
        yield name


@pytest.fixture(scope="module")
def kuberay(cluster: Cluster) -> Iterator[KubeRay]:
    """KubeRay, real or its stand-in, with a fake of Ray; FREEHOLD_KUBERAY_OPERATOR chooses."""
    with (
        Processes.begin("freehold-kuberay-") as processes,
        running_kuberay(cluster, processes) as found,
    ):
        yield found


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Processes that end with the test, however it ends; a failed test shows their last lines."""
    with telling_processes() as found:
        yield found


@pytest.fixture(scope="module")
def shared_processes() -> Iterator[Processes]:
    """The same for all tests of a module."""
    with telling_processes() as found:
        yield found


@pytest.fixture
def kubectl(cluster: Cluster, namespace: str) -> Kubectl:
    """``kubectl`` in the test's namespace; raises ``KubectlFailed`` with what it said."""

    def run(*arguments: str | Path, stdin: str | None = None) -> str:
        return cluster.kubectl("--namespace", namespace, *arguments, stdin=stdin)

    return run


@pytest.fixture
def faulty_api(cluster: Cluster) -> Iterator[FaultyApi]:
    """A way to the cluster that fails on demand; clients take ``faulty_api.kubeconfig(name)``."""
    with FaultyApi(cluster.kubeconfig) as api:
        yield api
