"""Who reaches which port of the pods, tried by connecting where an engine enforces the policies.

The same table as in the tests that evaluate them (``tests/network/matrix.py``), but the ports are
those at which something in the pods listens, and what is open is what answers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.cluster.model import Model
from tests.cluster.ports import Client, Target, clients, reached, run_here, target
from tests.control_plane.processes import wait_for
from tests.network import matrix
from tests.node.installation import Installation

Reached = Mapping[str, set[int]]
SEARCH, PROMETHEUS = "a pod of the search team", "Prometheus"
SOURCES = (
    "a pod of the namespace",
    SEARCH,
    "a pod of a foreign namespace",
    "a model of the same name in a foreign namespace",
    "KubeRay's operator, by its chart",
    "a pod beside Freehold's operator",
    PROMETHEUS,
    "a pod beside Prometheus",
)
HEAD: matrix.Role = "head"
ROLES: tuple[matrix.Role, ...] = (HEAD, "worker")
GCS, DASHBOARD, ENDPOINT, METRICS = 6379, 8265, 8000, 8080
# By itself the first test waits for all of it: a node, a model, its engine, a pod for each source.
pytestmark = pytest.mark.timeout(1200)
# A client's address is known to the engine a moment after its pod runs.
SECONDS = 60.0


@pytest.fixture(scope="module")
def sources(awake: Model) -> Iterator[Mapping[str, Client]]:
    """A pod for each source."""
    with clients(awake.cluster, awake.name, SOURCES) as found:
        yield found


@pytest.fixture(scope="module")
def pods(awake: Model, installation: Installation) -> Mapping[str, Target]:
    """The model's pods by their role, with what is open to their own node: policies close none."""

    def found() -> Mapping[str, Target] | None:
        named = {role: pod for role in ROLES if (pod := awake.settled(role))}
        listening = {it: target(awake.cluster, awake.namespace, pod) for it, pod in named.items()}
        answers = answering(installation, listening)
        # Ray's agent, which tells the metrics, comes after a pod is ready
        told = [role for role, it in answers.items() if METRICS in it.ports]
        return answers if len(told) == len(ROLES) else None

    return dict(awake.until("the pods of both roles tell their metrics", found))


@pytest.fixture(scope="module")
def operators(installation: Installation) -> Mapping[str, Target]:
    """The operator's pods by their names, likewise."""
    cluster = installation.cluster
    found = cluster.list("pods", matrix.SYSTEM, "app.kubernetes.io/name=freehold")
    names = [it["metadata"]["name"] for it in found]
    return answering(installation, {it: target(cluster, matrix.SYSTEM, it) for it in names})


def answering(installation: Installation, pods: Mapping[str, Target]) -> Mapping[str, Target]:
    """Return pods with those of their ports that answer the node on which they run."""
    found = reached(installation.node.machine.run, sys.executable, pods)
    return {name: Target(it.address, frozenset(found[name])) for name, it in pods.items()}


def who_reaches(
    sources: Mapping[str, Client], pods: Mapping[str, Target], wanted: Mapping[str, Reached]
) -> Mapping[str, Reached]:
    """Return what each source reaches, once none of what is wanted is missing."""

    def now() -> Mapping[str, Reached]:
        with ThreadPoolExecutor() as pool:
            found = pool.map(lambda name: sources[name].reached(pods), wanted)
            return dict(zip(wanted, found, strict=True))

    def nothing_is_missing() -> bool:
        found = now()
        return all(found[name][pod] >= wanted[name][pod] for name in wanted for pod in pods)

    until("what policies open is open", nothing_is_missing)
    # anew, since some may have been asked before and others after it was
    return now()


def by_matrix(allowed: str, pods: Mapping[str, Target]) -> Mapping[str, Reached]:
    """Return what the matrix says of the ports that there are."""
    return {
        name: {role: matrix.expected(allowed, name, role) & pods[role].ports for role in ROLES}
        for name in SOURCES
    }


def test_what_listens_in_a_models_pods_is_closed_to_all_but_those_who_need_it(
    sources: Mapping[str, Client], pods: Mapping[str, Target]
) -> None:
    assert pods[HEAD].ports >= {GCS, DASHBOARD, ENDPOINT, METRICS}
    assert pods["worker"].ports >= {METRICS}
    wanted = by_matrix("by default", pods)
    assert who_reaches(sources, pods, wanted) == wanted


def test_an_allowed_namespace_reaches_the_endpoint_and_nothing_else(
    awake: Model, sources: Mapping[str, Client], pods: Mapping[str, Target]
) -> None:
    awake.edit(endpoint={"allowedNamespaces": matrix.ALLOWED["Selector"]})
    wanted = by_matrix("Selector", pods)
    assert wanted[SEARCH] == {HEAD: {ENDPOINT}, "worker": set()}
    assert who_reaches(sources, pods, wanted) == wanted
    assert asked_by_its_service(awake, sources[SEARCH]) == "200"
    awake.edit(endpoint={"allowedNamespaces": None})
    until("it is closed again", lambda: sources[SEARCH].reached(pods)[HEAD] == set())


def test_a_process_beside_the_node_reaches_what_kuberay_there_needs(
    pods: Mapping[str, Target],
) -> None:
    found = reached(run_here, sys.executable, pods)
    assert found == {HEAD: {DASHBOARD, ENDPOINT}, "worker": set()}


def test_what_listens_in_the_operators_pods_is_open_to_prometheus_alone(
    sources: Mapping[str, Client], operators: Mapping[str, Target]
) -> None:
    assert [it.ports for it in operators.values()] == [{METRICS}] * 2
    closed: Reached = {name: set() for name in operators}
    wanted = dict.fromkeys(SOURCES, closed) | {
        PROMETHEUS: {name: set(it.ports) for name, it in operators.items()}
    }
    assert who_reaches(sources, operators, wanted) == wanted
    assert reached(run_here, sys.executable, operators) == closed


def test_the_model_answers_through_all_that(awake: Model) -> None:
    assert awake.complete("Once upon a time", 4)["choices"]


def until(what: str, condition: Callable[[], bool]) -> None:
    wait_for(what, condition, SECONDS, every=1.0)


def asked_by_its_service(model: Model, client: Client) -> str:
    """Return the status of an answer to a request that a client sends to the model's Service."""
    url = f"http://{model.name}.{model.namespace}.svc.cluster.local:{ENDPOINT}/v1/models"
    code = f"""
import urllib.request
asked = urllib.request.Request({url!r}, headers={{"Authorization": "Bearer {model.key}"}})
print(urllib.request.urlopen(asked, timeout=20).status)
"""
    return client.run("python", "-c", code).strip()
