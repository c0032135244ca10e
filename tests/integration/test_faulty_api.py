"""The fault injector in front of the real API server: what real clients make of it."""

from __future__ import annotations

import subprocess

from tests.control_plane.cluster import Cluster
from tests.control_plane.pinned import tool
from tests.control_plane.processes import wait_for
from tests.faulty_api import Answer, ExpireWatch, FaultyApi, Request


def test_kubectl_works_through_it_and_is_told_of_faults(
    faulty_api: FaultyApi, namespace: str
) -> None:
    through = Cluster(faulty_api.kubeconfig("kubectl"))
    through.kubectl("--namespace", namespace, "create", "configmap", "seen", "--from-literal=a=b")
    assert through.get("configmap", "seen", namespace)
    faulty_api.inject(Answer(409), method="DELETE", path="/configmaps/seen")
    refused = through.run("kubectl", "--namespace", namespace, "delete", "configmap", "seen")
    assert "injected fault 409" in refused.stderr
    (create, delete) = faulty_api.journal.writes(client="kubectl")
    assert (create.status, delete.status) == (201, 409)
    assert create.user_agent.startswith("kubectl/")


def test_a_token_s_rights_are_its_own_and_not_the_administrator_s(
    faulty_api: FaultyApi, cluster: Cluster, namespace: str
) -> None:
    token = cluster.kubectl("--namespace", namespace, "create", "token", "default").strip()
    through = Cluster(faulty_api.kubeconfig("nobody", token=token))
    refused = through.run("kubectl", "--namespace", namespace, "get", "secrets")
    assert f"system:serviceaccount:{namespace}:default" in refused.stderr
    assert "forbidden" in refused.stderr


def test_a_watch_that_expires_is_begun_anew_by_a_real_client(
    faulty_api: FaultyApi, namespace: str
) -> None:
    through = Cluster(faulty_api.kubeconfig("watcher"))

    def watches() -> list[Request]:
        return faulty_api.journal.requests(client="watcher", watch=True, status=200)

    create = ("create", "configmap", "seen", "--from-literal=a=1")
    through.kubectl("--namespace", namespace, *create)
    wait = ["wait", "configmap/seen", "--for=jsonpath={.data.a}=2", "--timeout=60s"]
    command = [tool("kubectl"), "--namespace", namespace, *wait]
    with subprocess.Popen(command, env=through.environment) as waiting:
        wait_for("kubectl watches", watches, 30)
        faulty_api.inject(ExpireWatch(), client="watcher", watch=True)
        wait_for("kubectl watches anew", lambda: len(watches()) > 1, 30)
        patch = ("patch", "configmap", "seen", '--patch={"data": {"a": "2"}}')
        through.kubectl("--namespace", namespace, *patch)
        assert waiting.wait(60) == 0
