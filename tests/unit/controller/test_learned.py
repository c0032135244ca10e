"""The endpoint follows what serves, and a cluster has room for more while that is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.render.rendered import ARCHIVE, NAMESPACE, planned
from tests.unit.status.situations import SERVES

from freehold.api.modeldeployment import ModelDeployment
from freehold.controller.carry_out import Manner
from freehold.controller.gather import Seen
from freehold.controller.learned import desired_objects, manner_of
from freehold.controller.queue import Key
from freehold.plan.rollout import spec_parts
from freehold.render.gcs_fault_tolerance import GcsFaultTolerance
from freehold.render.network_policies import Peers
from freehold.render.revision import Frozen, Revision, frozen_of
from freehold.status.outcome import Rollout
from freehold.status.plan_status import plan_status
from freehold.status.ray_service_state import read_ray_service

Object = dict[str, Any]
REDIS = GcsFaultTolerance("redis:6379")
MODEL, PLAN = planned()


def revision(tolerance: GcsFaultTolerance | None) -> Revision:
    frozen = frozen_of(
        MODEL,
        PLAN,
        spec_parts(MODEL.spec.to_dict()),
        plan_status(PLAN).to_dict(),
        namespace=NAMESPACE,
        archive=ARCHIVE,
        tolerance=tolerance,
    )
    assert isinstance(frozen, Frozen)
    return Revision("llama-1", "llama", 1, frozen)


def desired(serving: GcsFaultTolerance | None, wanted: GcsFaultTolerance | None) -> list[Object]:
    """Return what is to be there while a cluster serves and a revision is wanted."""
    spec = revision(serving).ray_service["spec"]["rayClusterConfig"]
    active = {"activeServiceStatus": {"rayClusterName": "llama-abcde"}}
    service = read_ray_service({"metadata": {"name": "llama"}, "spec": {}, "status": active})
    live = {"metadata": {"name": "llama-abcde"}, "spec": spec}
    model = {"metadata": {"uid": "1"}, "spec": {}}
    key = Key(NAMESPACE, "llama")
    seen = Seen(key, model, 1, (), {}, {}, (live,), service, (), ())
    return desired_objects(seen, revision(wanted), MODEL, None, Peers())


def seen_with(application: str) -> Seen:
    """Return a model whose cluster says a word of its application."""
    told = {"applicationStatuses": {"llama": {"status": application}}}
    status = {"activeServiceStatus": {"rayClusterName": "llama-abcde", **told}}
    service = read_ray_service({"metadata": {"name": "llama"}, "spec": {}, "status": status})
    return Seen(Key(NAMESPACE, "llama"), {}, 1, (), {}, {}, (), service, (), ())


RECREATED, _ = planned(rollout={"type": "Recreate"})


@pytest.mark.parametrize(
    ("model", "rollout", "application", "expected"),
    [
        pytest.param(MODEL, None, "RUNNING", Manner(), id="nothing is replaced"),
        pytest.param(MODEL, "InPlace", "RUNNING", Manner(), id="what replicas live through"),
        pytest.param(MODEL, "NewReplicas", "RUNNING", Manner(surge=1), id="a rollout begins"),
        pytest.param(MODEL, None, "DEPLOYING", Manner(surge=1), id="and is taken back"),
        pytest.param(
            RECREATED, "NewReplicas", "DEPLOYING", Manner(recreate=True), id="hardware goes first"
        ),
    ],
)
def test_there_is_room_for_one_more_while_replicas_are_replaced(
    model: ModelDeployment, rollout: str | None, application: str, expected: Manner
) -> None:
    outcome = replace(SERVES, rollout=Rollout(rollout) if rollout else None)
    assert manner_of(seen_with(application), outcome, model) == expected


def leads_to_workers(objects: list[Object]) -> bool:
    (service,) = (it for it in objects if it["kind"] == "Service")
    assert service["spec"]["selector"]["ray.io/cluster"] == "llama-abcde"
    return "ray.io/node-type" not in service["spec"]["selector"]


def lets_clients_to_workers(objects: list[Object]) -> bool:
    (policy,) = (it for it in objects if it["metadata"]["name"] == "llama-pods")
    ports = [port["port"] for rule in policy["spec"]["ingress"] for port in rule.get("ports", ())]
    return 8000 in ports


@pytest.mark.parametrize("wanted", [None, REDIS], ids=["plain is wanted", "a Redis is wanted"])
@pytest.mark.parametrize("serving", [None, REDIS], ids=["plain serves", "a Redis serves"])
def test_the_service_goes_by_what_serves_and_policies_by_all_that_is_or_will_be(
    serving: GcsFaultTolerance | None, wanted: GcsFaultTolerance | None
) -> None:
    found = desired(serving, wanted)
    assert leads_to_workers(found) is (serving is REDIS)
    assert lets_clients_to_workers(found) is (REDIS in (serving, wanted))
