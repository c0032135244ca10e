"""The operator is killed at random moments while models change; in the end all is as it should be.

``FREEHOLD_KILLS`` says how often (30), ``FREEHOLD_SEED`` tells the same story again.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.faulty_api import FaultyApi, Hang, HoldAnswer, Request
from tests.installation.kuberay import KubeRay, running_kuberay
from tests.integration.at_rest import comes_to_rest
from tests.integration.harness import fresh_namespace
from tests.integration.models import OF_RAY_SERVICE, Models, assert_no_bug, assert_same_spec, of
from tests.integration.operator import (
    RACK,
    Operator,
    condition,
    many_l4,
    start_operator,
    until,
    wait_until_ready,
)
from tests.integration.random_story import NAMES, REFUSED, Story, manifests

Object = dict[str, Any]
KILLS = int(os.environ.get("FREEHOLD_KILLS", "30"))
SEED = int(os.environ.get("FREEHOLD_SEED", SystemRandom().randrange(10**6)))
OPERATOR = "operator"
WRITES = "POST|PUT|PATCH|DELETE"
# An operator that has nothing to write is killed all the same after this many seconds.
NOTHING_TO_DO_S = 1.5
# Every model may have two replicas, in an old cluster and in a new one, in two namespaces.
NODES = [*RACK, *many_l4(len(NAMES))]


@pytest.fixture(scope="module", autouse=True)
def rack(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(NODES):
        yield


@pytest.fixture(scope="module")
def kuberay(cluster: Cluster) -> Iterator[KubeRay]:
    """KubeRay; its stand-in deletes replaced clusters at once."""
    with (
        Processes.begin("freehold-kuberay-") as processes,
        running_kuberay(cluster, processes, "--deletion-delay=1") as found,
    ):
        yield found


@pytest.fixture
def calm(cluster: Cluster) -> Iterator[Models]:
    """Where the models are made without trouble, to compare with."""
    with fresh_namespace(cluster) as found:
        yield Models(cluster, found)


@dataclass(frozen=True)
class Killer:
    """Kills an operator and starts it again.

    Attributes:
        operator: The operator.
        api: Its way to the API server.
        random: Decides when.
    """

    operator: Operator
    api: FaultyApi
    random: Random

    def kill(self) -> str:
        """Kill the operator at some moment, start it again, and return when it was."""
        how = self.random.choice((self._sometime, self._before_a_write, self._after_a_write))
        when = how()
        self.operator.server.stop(signal.SIGKILL)
        self.api.heal()
        self.operator.server.start()
        return when

    def _sometime(self) -> str:
        """It may not even have started."""
        seconds = self.random.uniform(0, 3)
        time.sleep(seconds)
        return f"after {seconds:.2f} s"

    def _before_a_write(self) -> str:
        return f"before write {self._at_a_write(Hang())}"

    def _after_a_write(self) -> str:
        return f"after write {self._at_a_write(HoldAnswer())}"

    def _at_a_write(self, fault: Hang | HoldAnswer) -> int:
        """Wait until one of the next writes is where a fault holds it; return which one."""
        number = self.random.randrange(8)
        known = len(self.api.journal.all)
        self.api.inject(fault, client=OPERATOR, method=WRITES, skip=number)
        wait_until_ready(self.operator)
        end = time.monotonic() + NOTHING_TO_DO_S
        while not any(is_held(it) for it in self.api.journal.all[known:]):
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        return number


def is_held(request: Request) -> bool:
    """Return whether a write is held: before the server has it, or when it was carried out."""
    return request.fault == "Hang" or (
        request.fault == "HoldAnswer" and request.answered is not None
    )


@pytest.fixture
def operator(
    faulty_api: FaultyApi, kuberay: KubeRay, processes: Processes, namespace: str, calm: Models
) -> Operator:
    watched = [f"--namespace={it}" for it in (namespace, calm.namespace)]
    kubeconfig = faulty_api.kubeconfig(OPERATOR)
    arguments = (*watched, "--no-leader-election", "--relist-interval=5")
    return start_operator(processes, kubeconfig, kuberay.environment, *arguments)


@pytest.mark.timeout(300 + 20 * KILLS)
@pytest.mark.thorough
def test_whenever_it_is_killed_all_comes_out_as_without_a_kill(
    cluster: Cluster,
    operator: Operator,
    faulty_api: FaultyApi,
    kuberay: KubeRay,
    namespace: str,
    calm: Models,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with capsys.disabled():
        print(f"\n{KILLS} kills, FREEHOLD_SEED={SEED}")  # noqa: T201
    for name in NAMES:
        kuberay.ray.steer(namespace, name, refuses=REFUSED, message="ValueError: not with us")
    random = Random(SEED)
    story = Story(Models(cluster, namespace), random)
    killer = Killer(operator, faulty_api, random)
    for _ in range(KILLS):
        for _ in range(random.randint(1, 3)):
            story.go_on()
        story.told.append(f"kill {killer.kill()}")
    story.mend()
    print("\n".join(story.told))  # noqa: T201
    wait_until_ready(operator)
    for name in NAMES:
        if name not in story.wanted:
            until(f"nothing is left of {name}", lambda name=name: left(story.models, name) == [])
    calm.kubectl("apply", "-f-", stdin=manifests(story.wanted))
    for name in story.wanted:
        assert_as_without_kills(story.models, calm, name)
    assert_no_bug(operator)
    models = [it.get(name) for it in (story.models, calm) for name in story.wanted]
    comes_to_rest(cluster, operator, faulty_api, OPERATOR, models)


def left(models: Models, name: str) -> list[str]:
    """Return what is left of a model, by kind and name; its keys are the user's and stay."""
    kinds = "rayservice,raycluster,service,configmap,controllerrevision,secret,pod"
    found = models.cluster.list(kinds, models.namespace, of(name))
    found += models.cluster.list("raycluster", models.namespace, OF_RAY_SERVICE + name)
    names = [f"{it['kind']} {it['metadata']['name']}" for it in found]
    return [it for it in names if it != f"Secret {name}-api-key"]


def assert_as_without_kills(models: Models, calm: Models, name: str) -> None:
    for each in (models, calm):
        until(f"{name} has settled", lambda each=each: is_settled(each, name))
    found, wanted = models.owned(name, history=True), calm.owned(name)
    assert found.keys() == wanted.keys()
    assert_same_spec(found["RayService"], wanted["RayService"])
    assert found["Service"]["spec"]["ports"] == wanted["Service"]["spec"]["ports"]
    assert told(models.get(name)) == told(calm.get(name))
    assert_no_revision_twice(models.revisions(name))


def is_settled(models: Models, name: str) -> bool:
    """Return whether nothing is under way, and what was replaced is gone."""
    model = models.get(name)
    ready = condition(model, "Ready")
    clusters = models.cluster.list("raycluster", models.namespace, OF_RAY_SERVICE + name)
    return (
        ready.get("observedGeneration") == model["metadata"]["generation"]
        and ready.get("reason") in ("Answers", "Suspended")
        and condition(model, "Reconciling").get("status") == "False"
        and len(clusters) == (0 if ready["reason"] == "Suspended" else 1)
    )


def told(model: Object) -> list[tuple[str, str, str]]:
    return [(it["type"], it["status"], it["reason"]) for it in model["status"]["conditions"]]


def assert_no_revision_twice(revisions: list[Object]) -> None:
    contents = [json.dumps(it["data"], sort_keys=True) for it in revisions]
    numbers = [it["revision"] for it in revisions]
    assert len(set(contents)) == len(contents)
    assert len(set(numbers)) == len(numbers)
