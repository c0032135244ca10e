"""The control plane that the other tests stand on: real, alone, and gone when it is over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.control_plane import commands
from tests.control_plane.cluster import Cluster, KubectlFailed
from tests.control_plane.nodes import SimulatedNode, Taint
from tests.control_plane.plain_api import RequestFailed
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import Processes, ServerFailed, wait_for
from tests.integration.harness import ROOT, Kubectl, processes_of

# All other tests stand on it and would fail with it.
pytestmark = pytest.mark.thorough

GPU = "nvidia.com/gpu"


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "example.com/none", "resources": {"limits": {GPU: "1"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], **spec},
    }


@pytest.fixture
def gpu_node(cluster: Cluster, namespace: str) -> Iterator[SimulatedNode]:
    node = SimulatedNode(
        f"gpu-{namespace}",
        labels={"example.com/pool": namespace},
        taints=[Taint(GPU, "present")],
        allocatable={GPU: "1"},
    )
    cluster.add_nodes([node])
    yield node
    cluster.remove_nodes([node.name])


def test_a_pod_runs_where_its_selector_and_tolerations_let_it(
    cluster: Cluster, namespace: str, kubectl: Kubectl, gpu_node: SimulatedNode
) -> None:
    selector = {"nodeSelector": dict(gpu_node.labels)}
    tolerations = [{"key": GPU, "operator": "Exists"}]
    cluster.apply(pod("refused", **selector), namespace=namespace)
    cluster.apply(pod("runs", **selector, tolerations=tolerations), namespace=namespace)
    kubectl("wait", "--for=condition=Ready", "pod/runs", "--timeout=30s")
    runs = cluster.get("pod", "runs", namespace)
    assert runs is not None
    assert runs["spec"]["nodeName"] == gpu_node.name
    assert runs["status"]["phase"] == "Running"
    assert runs["status"]["podIP"]
    kubectl("wait", "--for=condition=PodScheduled=False", "pod/refused", "--timeout=30s")
    refused = cluster.get("pod", "refused", namespace)
    assert refused is not None
    (scheduled,) = refused["status"]["conditions"]
    assert "untolerated taint" in scheduled["message"]


def test_crds_of_freehold_and_kuberay_are_served(
    kubectl: Kubectl, cluster: Cluster, namespace: str
) -> None:
    kinds = kubectl("api-resources", "--output=name").split()
    wanted = {"modeldeployments.freehold.dev", "acceleratorclasses.freehold.dev"}
    assert wanted | {"rayservices.ray.io", "rayclusters.ray.io"} <= {*kinds}
    text = (ROOT / "tests/golden/llama-3.1-405b/ray-service.yaml").read_text()
    service = yaml.safe_load(text)
    del service["metadata"]["namespace"]
    cluster.apply(service, namespace=namespace)


def test_a_service_account_has_the_rights_that_rbac_gives_it(
    cluster: Cluster, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    own = cluster.as_service_account(namespace, "default", tmp_path)
    with pytest.raises(RequestFailed, match="cannot list resource"):
        own.list("pods", namespace)
    kubectl(
        "create", "rolebinding", "v", "--clusterrole=view", f"--serviceaccount={namespace}:default"
    )
    wait_for("the role is bound", lambda: _may_list(own, namespace), 10)
    with pytest.raises(RequestFailed, match="cannot list resource"):
        own.list("pods", "default")


def _may_list(cluster: Cluster, namespace: str) -> bool:
    try:
        return cluster.list("pods", namespace) == []
    except RequestFailed:
        return False


@pytest.fixture(scope="module")
def planes() -> Iterator[list[ControlPlane]]:
    """Two control planes that started at the same moment."""
    both = [ControlPlane(), ControlPlane(simulate_nodes=False)]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ControlPlane.start, both))
        yield both
    finally:
        for plane in both:
            plane.stop()


def test_two_at_once_know_nothing_of_each_other(planes: list[ControlPlane]) -> None:
    first, second = planes
    assert first.url != second.url
    assert first.folder != second.folder
    first.cluster.kubectl("create", "namespace", "only-in-the-first")
    assert first.cluster.get("namespace", "only-in-the-first")
    assert second.cluster.get("namespace", "only-in-the-first") is None
    assert set(first.servers) - set(second.servers) == {"kwok"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["crash", "graceful"])
def test_a_restarted_api_server_has_kept_its_data(
    planes: list[ControlPlane], number: signal.Signals
) -> None:
    plane = planes[0]
    name = f"kept-{number.name.lower()}"
    plane.cluster.kubectl("create", "configmap", name)
    token = plane.cluster.kubectl("create", "token", "default").strip()
    before = plane.url, plane.api_server.pid
    plane.restart_api_server(number)
    assert plane.url == before[0]
    assert plane.api_server.pid != before[1]
    assert plane.cluster.get("configmap", name, "default")
    # signed by the server before: the key has stayed
    assert "system:serviceaccount:default:default" in plane.cluster.kubectl(
        "auth", "whoami", "--output=json", "--token", token
    )


def test_while_it_hangs_nobody_is_answered_and_then_all_are(planes: list[ControlPlane]) -> None:
    plane = planes[0]
    with plane.api_server_hanging(), pytest.raises(KubectlFailed, match=r"(?i)timeout|deadline"):
        plane.cluster.kubectl("get", "namespaces", "--request-timeout=1s")
    assert "default" in plane.cluster.kubectl("get", "namespaces")


def test_while_it_is_stopped_its_port_is_nobodys(planes: list[ControlPlane]) -> None:
    plane = planes[0]
    with plane.api_server_stopped():
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", plane.layout.port))
        with pytest.raises(KubectlFailed, match="refused"):
            plane.cluster.kubectl("get", "namespaces")
    assert "default" in plane.cluster.kubectl("get", "namespaces")


def test_nothing_is_left_after_a_stop() -> None:
    with ControlPlane(simulate_nodes=False) as plane:
        folder = plane.folder
        other = plane.spawn("sleeper", ["sleep", "600"])
        assert {"etcd", "kube-apiserver", "sleep"} <= {*processes_of(folder)}
    assert processes_of(folder) == []
    assert not folder.exists()
    assert not other.running
    plane.stop()


def test_nothing_is_left_after_a_failed_start(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = ControlPlane()
    good = commands.Layout.api_server
    monkeypatch.setattr(commands.Layout, "api_server", lambda self: [*good(self), "--no-such-flag"])
    with pytest.raises(ServerFailed, match=r"kube-apiserver ended with 1(?s:.*)no-such-flag"):
        plane.start()
    assert processes_of(plane.folder) == []
    assert not plane.folder.exists()


OWNER = """\
import signal
from tests.control_plane.plane import ControlPlane
# whom a shell starts in the background it has ignore this one
signal.signal(signal.SIGINT, signal.default_int_handler)
with ControlPlane(simulate_nodes=False) as plane:
    print(plane.folder, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_owner_is_killed(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert folder.is_dir()
        # as a terminal does it, to all of the foreground group
        os.killpg(owner.pid, number)
    wait_for("the folder is gone", lambda: not folder.exists(), 20)
    # the keeper itself is the last to go
    wait_for("no process is left", lambda: not processes_of(folder), 20)


def test_a_tests_processes_end_with_it_and_their_words_are_kept(processes: Processes) -> None:
    folder = processes.folder
    with Processes.begin() as own:
        talker = own.start("talker", ["sh", "-c", "echo began; sleep 600"])
        talker.says("began")
        with pytest.raises(ServerFailed, match=r"was started before"):
            own.start("talker", ["true"])
        assert processes_of(own.folder)
    assert not talker.running
    assert not own.folder.exists()
    assert folder.is_dir()
    ended = processes.start("ended", ["sh", "-c", "echo why; exit 3"])
    with pytest.raises(ServerFailed, match=r"ended ended with 3(?s:.*)why"):
        ended.says("never said")
