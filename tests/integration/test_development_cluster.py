"""What `make cluster` brings up, with examples/ applied to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from tests.control_plane.cluster import Cluster
from tests.installation import hardware
from tests.installation.helm import CRDS_RELEASE, RELEASE, SYSTEM
from tests.integration.development_task import Task, folder_of, last_line, task_in
from tests.integration.harness import ROOT

FOLDER = ROOT / "examples"
NAMES = {yaml.safe_load(path.read_text())["metadata"]["name"] for path in FOLDER.glob("*.yaml")}
NAMESPACE = "default"


@dataclass(frozen=True)
class Development:
    """The cluster as a developer has it after `make cluster`."""

    task: Task
    output: str

    @property
    def cluster(self) -> Cluster:
        return Cluster(folder_of(self.output) / "admin.kubeconfig")

    def shell(self, command: str) -> str:
        """Run a command in a shell that has taken the line."""
        script = f"set -e; {last_line(self.output)}; {command}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    task = task_in(tmp_path_factory.mktemp("development"))
    try:
        yield Development(task, task.up())
    finally:
        task.run("down")


@pytest.fixture(scope="module")
def applied(development: Development) -> Development:
    """All examples are applied and answer, or would after waking."""
    development.shell("kubectl apply -f examples/")
    development.shell("kubectl wait --for=condition=Ready fmd --all --timeout=120s")
    return development


def test_it_says_what_it_did_and_how_a_shell_uses_it(development: Development) -> None:
    *said, line = development.output.splitlines()
    assert all(it.startswith("# ") for it in said)
    for word in ("H100", "KubeRay", "charts", "operator", "without a kubelet", "fake of Ray"):
        assert word.lower() in development.output.lower()
    releases = json.loads(development.shell(f"helm list --namespace {SYSTEM} --output json"))
    assert {(it["name"], it["status"]) for it in releases} == {
        (CRDS_RELEASE, "deployed"),
        (RELEASE, "deployed"),
    }
    assert str(development.task.cache) in development.shell("command -v kubectl")
    assert development.task.up() == development.output
    assert development.task.run("status").stdout == f"{line}\n"


def test_the_operator_leads_with_the_name_of_its_deployments_pod(development: Development) -> None:
    lease = development.cluster.get("lease", "freehold-operator", SYSTEM)
    assert lease is not None
    pods = {pod["metadata"]["name"] for pod in development.cluster.list("pods", SYSTEM)}
    assert lease["spec"]["holderIdentity"].rpartition("_")[0] in pods


def test_every_example_becomes_a_rayservice_that_serves(applied: Development) -> None:
    assert {it["metadata"]["name"] for it in applied.cluster.list("fmd", NAMESPACE)} == NAMES
    services = applied.cluster.list("rayservice", NAMESPACE)
    assert {it["metadata"]["name"] for it in services} == NAMES


def test_kuberays_schema_takes_every_rayservice_whole(applied: Development) -> None:
    """As it was decided on: what is stored has lost the fields that a schema does not know."""
    revisions = applied.cluster.list("controllerrevision", NAMESPACE, "freehold.dev/model")
    decided = [_ray_service(it) for it in revisions]
    assert {it["metadata"]["name"] for it in decided} == NAMES
    for service in decided:
        strict = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
        given = json.dumps(service)
        applied.cluster.kubectl("apply", *strict, "--filename=-", stdin=given)


def _ray_service(revision: dict[str, Any]) -> dict[str, Any]:
    (found,) = (it for it in revision["data"]["objects"] if it["kind"] == "RayService")
    return dict(found)


def test_405b_lies_over_two_nodes_and_70b_beside_it(applied: Development) -> None:
    nodes: dict[str, set[str]] = {}
    for pod in applied.cluster.list("pods", NAMESPACE, "ray.io/node-type=worker"):
        model = pod["metadata"]["labels"]["freehold.dev/model"]
        nodes.setdefault(model, set()).add(pod["spec"]["nodeName"])
    large, smaller = nodes["llama-3-1-405b"], nodes["llama-3-1-70b"]
    assert len(large) == 2 and not large & smaller
    assert large | smaller <= {node.name for node in hardware.nodes() if "h100" in node.name}


def test_the_table_of_all_examples_is_read_in_a_hundred_columns(applied: Development) -> None:
    lines = applied.shell("kubectl get fmd").splitlines()
    assert {line.split()[0] for line in lines[1:]} == NAMES
    assert max(len(line.rstrip()) for line in lines) <= 100


def test_a_description_tells_the_plan_and_what_happened(applied: Development) -> None:
    text = applied.shell("kubectl describe fmd llama-3-1-405b")
    for words in ("Accelerator:", "h100-80gb", "Answers", "Events:", "freehold.dev/operator"):
        assert words in text
