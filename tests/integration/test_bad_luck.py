"""Bad luck at the API server: whatever it answers, the end is the same as without trouble."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.faulty_api import (
    Answer,
    Cut,
    ExpireWatch,
    Fault,
    FaultyApi,
    Hang,
    LoseAnswer,
    Malformed,
    Refuse,
    Request,
    Stall,
)
from tests.installation.kuberay import KubeRay
from tests.integration.at_rest import comes_to_rest
from tests.integration.harness import fresh_namespace
from tests.integration.models import Models, assert_no_bug, assert_same_spec
from tests.integration.operator import RACK, Operator, many_l4, start_operator, until
from tests.variations import every

OPERATOR, NAME = "operator", "guard"
FAULTS = {
    "409": Answer(409),
    "410": Answer(410),
    "429": Answer(429, retry_after=1),
    "500": Answer(500),
    "503": Answer(503),
    "half an object": Malformed(),
    "a lost answer": LoseAnswer(),
    "a cut answer": Cut(10),
    "no connection": Refuse(),
}
# A request that hangs is given up after ten seconds, before the lease could be another's.
OF_WRITES = FAULTS | {"no answer": Hang()}
CALM = "no trouble"
ALL = [CALM, *OF_WRITES]
# The one model of each namespace takes a device, and two when it is scaled.
NODES = [*RACK, *many_l4(-(-2 * len(ALL) // 8))]


@pytest.fixture(scope="module", autouse=True)
def rack(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(NODES):
        yield


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[FaultyApi]:
    with FaultyApi(cluster.kubeconfig) as found:
        yield found


@pytest.fixture(scope="module")
def namespaces(cluster: Cluster) -> Iterator[dict[str, Models]]:
    """A namespace for each kind of trouble, since a create does not tell its object's name."""
    with ExitStack() as stack:
        yield {it: Models(cluster, stack.enter_context(fresh_namespace(cluster))) for it in ALL}


@pytest.fixture(scope="module")
def operator(
    api: FaultyApi,
    kuberay: KubeRay,
    shared_processes: Processes,
    namespaces: dict[str, Models],
) -> Operator:
    watched = [models.namespace for models in namespaces.values()]
    arguments = [f"--namespace={it}" for it in watched]
    return start_operator(
        shared_processes,
        api.kubeconfig(OPERATOR),
        kuberay.environment,
        *arguments,
        f"--lease-namespace={watched[0]}",
        "--relist-interval=1",
    )


@pytest.fixture(autouse=True)
def alive(operator: Operator) -> Iterator[None]:
    """Whatever a test does, the operator goes on, leads, is well and says so."""
    yield
    assert operator.server.running
    assert '"ok": true' in operator.get("/healthz")
    assert '"ok": true' in operator.get("/readyz")
    assert_no_bug(operator)
    assert operator.metric("freehold_leader") == 1


def strike(api: FaultyApi, fault: Fault, models: Models, *writes: tuple[str, str]) -> None:
    """Let a fault strike the next of each of these writes, told by method and end of the path.

    One that hangs takes its time, so it strikes the first alone.
    """
    for method, path in writes[:1] if isinstance(fault, Hang) else writes:
        place = rf"/namespaces/{models.namespace}/{path}(\?|$)"
        api.inject(fault, client=OPERATOR, method=method, path=place)


@pytest.fixture(scope="module")
def created(api: FaultyApi, operator: Operator, namespaces: dict[str, Models]) -> dict[str, Models]:
    """A model in each namespace, whose first writes go wrong."""
    writes = [
        ("POST", "rayservices"),
        ("POST", "controllerrevisions"),
        ("PATCH", f"modeldeployments/{NAME}/status"),
        ("PATCH", f"services/{NAME}"),
    ]
    for name, models in namespaces.items():
        if name != CALM:
            strike(api, OF_WRITES[name], models, *writes)
        models.apply(NAME)
    return namespaces


@pytest.fixture(scope="module")
def scaled(api: FaultyApi, created: dict[str, Models]) -> dict[str, Models]:
    """The models once they serve, with another replica, and the writes for it go wrong."""
    for models in created.values():
        models.wait(NAME, "Ready", "True")
    for name, models in created.items():
        if name != CALM:
            patches = [("PATCH", f"rayservices/{NAME}"), ("PATCH", f"rayclusters/{NAME}-.*")]
            strike(api, OF_WRITES[name], models, *patches)
        models.kubectl("scale", "fmd", NAME, "--replicas=2")
    return created


def assert_as_without_trouble(troubled: Models, calm: Models) -> None:
    theirs, ours = calm.owned(NAME), troubled.owned(NAME)
    assert ours.keys() == theirs.keys()
    assert_same_spec(ours["RayService"], theirs["RayService"])
    assert told(troubled.get(NAME)) == told(calm.get(NAME))


def told(model: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(it["type"], it["status"], it["reason"]) for it in model["status"]["conditions"]]


def struck(api: FaultyApi, models: Models) -> int:
    requests = api.journal.requests(client=OPERATOR, path=f"/{models.namespace}/")
    return sum(bool(request.fault) for request in requests)


@pytest.mark.parametrize("trouble", OF_WRITES)
def test_a_model_is_made_whatever_its_writes_are_answered(
    api: FaultyApi, created: dict[str, Models], trouble: str
) -> None:
    for models in (created[CALM], created[trouble]):
        models.wait(NAME, "Ready", "True", "Answers")
        # told by Serve, which a busy machine keeps from answering for a moment
        models.wait(NAME, "Scaled", "True")
    assert_as_without_trouble(created[trouble], created[CALM])
    assert struck(api, created[trouble]) == (1 if trouble == "no answer" else 4)


@pytest.mark.parametrize("trouble", OF_WRITES)
def test_a_model_is_changed_whatever_its_writes_are_answered(
    api: FaultyApi, scaled: dict[str, Models], trouble: str
) -> None:
    for models in (scaled[CALM], scaled[trouble]):
        until("two replicas", lambda models=models: bounds(models) == (2, 2))
        models.wait(NAME, "Scaled", "True")
    assert_as_without_trouble(scaled[trouble], scaled[CALM])
    assert struck(api, scaled[trouble]) == (2 if trouble == "no answer" else 6)


def bounds(models: Models) -> tuple[int, int]:
    """Return the least replicas of a model's RayService and of its live cluster."""
    owned = models.owned(NAME)
    (declared,) = owned["RayService"]["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (live,) = owned["RayCluster"]["spec"]["workerGroupSpecs"]
    return declared["minReplicas"], live["minReplicas"]


def test_a_status_that_is_not_taken_is_told_later(
    api: FaultyApi, scaled: dict[str, Models]
) -> None:
    rules = []
    for name, models in scaled.items():
        if name != CALM:
            path = rf"/namespaces/{models.namespace}/modeldeployments/{NAME}/status\?"
            rules.append(api.inject(OF_WRITES[name], client=OPERATOR, method="PATCH", path=path))
        models.kubectl("scale", "fmd", NAME, "--replicas=1")
    for models in scaled.values():
        until(
            "one replica is wanted",
            lambda models=models: models.get(NAME)["status"]["desiredReplicas"] == 1,
        )
        models.wait(NAME, "Ready", "True")
    assert [rule.hits for rule in rules] == [1] * len(rules)


def test_then_nothing_is_written_any_more(
    cluster: Cluster, api: FaultyApi, operator: Operator, scaled: dict[str, Models]
) -> None:
    models = [it.get(NAME) for it in scaled.values()]
    comes_to_rest(cluster, operator, api, OPERATOR, models)


# an answer that is lost to its end has none, for a watch
OF_WATCHES = {
    **{it: fault for it, fault in FAULTS.items() if not isinstance(fault, LoseAnswer)},
    "an expired version": ExpireWatch(),
}


@pytest.mark.parametrize(
    "trouble", every(OF_WATCHES, always=("an expired version", "a cut answer"))
)
def test_watches_that_end_are_begun_anew(
    api: FaultyApi, operator: Operator, scaled: dict[str, Models], trouble: str
) -> None:
    watches = {"client": OPERATOR, "path": of_models(scaled[CALM]), "watch": True}
    before = len(api.journal.requests(**watches))
    rule = api.inject(OF_WATCHES[trouble], times=2, **watches)
    # the watch that is open ends, and the next one may come before this returns
    api.inject(Refuse(), **watches)
    # something to tell, in the middle of which a watch can be cut
    scaled[CALM].kubectl("annotate", "fmd", NAME, f"trouble={len(trouble)}", "--overwrite")
    until("it was struck twice", lambda: rule.hits == 2)
    until("it watches", lambda: any(is_well(it) for it in api.journal.requests(**watches)[before:]))
    scaled[CALM].another_pass(operator, NAME)


def of_models(models: Models) -> str:
    return rf"/namespaces/{models.namespace}/modeldeployments\?"


def is_well(request: Request) -> bool:
    return request.status == 200 and not request.fault


@pytest.fixture(scope="module")
def silent(api: FaultyApi, scaled: dict[str, Models]) -> Iterator[Models]:
    """A model of whose namespace no watch says anything any more, though all stay open."""
    models = scaled[CALM]
    place = f"/namespaces/{models.namespace}/"
    rule = api.inject(Stall(), client=OPERATOR, path=place, watch=True, times=None)
    yield models
    rule.remove()


@pytest.mark.parametrize("trouble", every(FAULTS, always=("500", "half an object")))
def test_what_silent_watches_lose_is_found_whatever_lists_are_answered(
    api: FaultyApi, silent: Models, trouble: str
) -> None:
    other = 3 - bounds(silent)[0]
    rule = api.inject(FAULTS[trouble], client=OPERATOR, path=of_models(silent), watch=False)
    silent.kubectl("scale", "fmd", NAME, f"--replicas={other}")
    until("it is scaled", lambda: bounds(silent) == (other, other))
    assert rule.hits == 1
