"""What is known of Secrets that cannot be read: when they are asked for, and what that tells."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.render.rendered import planned, service_of

from freehold.api import conditions as api
from freehold.controller.backoff import Backoff
from freehold.controller.cache import Cache
from freehold.controller.gather import Seen, gather
from freehold.controller.install_key import InstallKey
from freehold.controller.queue import Key
from freehold.controller.secrets_of_models import ModelSecrets
from freehold.kube.errors import AlreadyExists, Denied, Invalid, KubeError, Transient
from freehold.kube.resources import MODEL_DEPLOYMENTS, Resource
from freehold.status.outcome import Finding
from freehold.status.pod_state import PodState, read_pod
from freehold.status.ray_service_state import RayServiceState, read_ray_service

LLAMA = Key("models", "llama")
UID = "1f0c3a52-8f41-4e0e-9d0a-3a9a5d1c2b3d"
OURS = ["llama-tokens-1f0c3a52", "llama-api-key"]
ACTIVE = {"rayClusterName": "llama-x"}
NAMED = {"authentication": {"type": "APIKey", "secretRef": {"name": "team-keys"}}}


@dataclass
class Api:
    """An API server that knows Secrets by their names, and tells them to nobody."""

    there: set[str] = field(default_factory=set)
    refuses: KubeError | None = None
    asked: list[str] = field(default_factory=list)

    async def create(self, _resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        name = body["metadata"]["name"]
        self._ask(name)
        if name in self.there:
            raise AlreadyExists(name)
        self.there.add(name)
        return body

    async def has(self, _resource: Resource, _namespace: str, name: str) -> bool:
        self._ask(name)
        return name in self.there

    def _ask(self, name: str) -> None:
        self.asked.append(name)
        if self.refuses is not None:
            raise self.refuses


class World:
    """A model, its Secrets, and a clock."""

    def __init__(self, **spec: Any) -> None:
        self.api, self.now = Api(), 0.0
        self.service = service_of(planned(**spec))
        clock, key = (lambda: self.now), InstallKey(b"k" * 32)
        self.secrets = ModelSecrets(self.api, key, clock, Backoff(clock))  # type: ignore[arg-type]
        self.pods: tuple[PodState, ...] = ()
        self.ray_service: RayServiceState | None = None

    def sees(self) -> Finding | None:
        """Return what a pass is told, and forget what it asked before."""
        self.api.asked.clear()
        found = replace(seen(), pods=self.pods, ray_service=self.ray_service)
        return asyncio.run(self.secrets.see_to(found, self.service))


def seen() -> Seen:
    cache = Cache()
    metadata = {"name": LLAMA.name, "namespace": LLAMA.namespace, "uid": UID}
    cache.seen(MODEL_DEPLOYMENTS, {"metadata": metadata, "spec": {}})
    found = gather(cache, LLAMA, set())
    assert found is not None
    return found


def pod(**status: Any) -> PodState:
    return read_pod({"spec": {"nodeName": "n"}, "status": status})


WAITS = {
    "phase": "Pending",
    "conditions": [{"type": "PodReadyToStartContainers", "status": "False"}],
}


def test_what_is_ours_is_made_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    assert world.sees() is None
    assert world.api.asked == OURS
    world.now += 1000
    assert world.sees() is None
    assert world.api.asked == []
    assert caplog.text == ""


def test_what_is_there_already_is_not_tried_again() -> None:
    """As after a restart: the uid in its name says that it is this model's."""
    world = World()
    world.api.there = set(OURS)
    assert world.sees() is None
    assert world.sees() is None
    assert world.api.asked == []


def test_pods_that_wait_have_it_looked_for_again_but_not_at_every_pass() -> None:
    world = World()
    world.sees()
    world.api.there.clear()
    world.pods = (pod(**WAITS),)
    world.now += 9
    world.sees()
    assert world.api.asked == []
    world.now += 1
    world.sees()
    assert world.api.there == set(OURS)


def edited(generation: int, observed: int, **status: Any) -> RayServiceState:
    """Return a RayService that was edited, of which KubeRay has taken up a generation."""
    status = {"observedGeneration": observed, "activeServiceStatus": ACTIVE} | status
    return read_ray_service({"metadata": {"generation": generation}, "status": status})


def test_an_edit_that_kuberay_does_not_take_up_has_the_tokens_looked_for_later_and_later() -> None:
    world = World()
    world.sees()
    world.api.there.clear()
    world.ray_service = edited(2, 1)
    asked = []
    for second in range(100):
        world.now = float(second)
        world.sees()
        asked += [(second, name) for name in world.api.asked]
    assert asked == [(second, OURS[0]) for second in (5, 15, 35, 75)]
    assert world.api.there == {OURS[0]}


def test_an_edit_that_kuberay_takes_up_in_time_has_nothing_looked_for() -> None:
    world = World()
    world.sees()
    for generation in range(2, 20):
        for observed in (generation - 1, generation):
            world.ray_service = edited(generation, observed)
            world.sees()
            assert world.api.asked == []
            world.now += 4


@pytest.mark.parametrize(
    "status",
    [
        {"activeServiceStatus": {}},
        {"conditions": [{"type": "Ready", "status": "False", "reason": "ValidationFailed"}]},
        {"conditions": [{"type": "Ready", "status": "False", "reason": "InitializingTimeout"}]},
        {"conditions": [{"type": "Suspended", "status": "True"}]},
    ],
    ids=["not made yet", "refused", "given up", "suspended"],
)
def test_where_kuberay_asks_no_serve_nothing_is_looked_for(status: dict[str, Any]) -> None:
    world = World()
    world.sees()
    world.ray_service = edited(2, 1, **status)
    for _ in range(2):
        world.sees()
        assert world.api.asked == []
        world.now += 1000


def test_a_users_secret_is_told_until_it_is_there_and_never_made() -> None:
    world = World(endpoint=NAMED)
    for _ in range(2):
        found = world.sees()
        assert found is not None
        assert found.reason is api.API_KEYS_MISSING
        assert "team-keys" in found.message
    world.api.there.add("team-keys")
    assert world.sees() is None
    assert world.sees() is None
    assert world.api.asked == []
    assert "llama-api-key" not in world.api.there


def test_a_users_secret_that_goes_is_told_when_pods_wait() -> None:
    world = World(endpoint=NAMED)
    world.api.there.add("team-keys")
    assert world.sees() is None
    world.api.there.discard("team-keys")
    world.now += 10
    assert world.sees() is None
    world.pods = (pod(**WAITS),)
    assert world.sees() is not None


@pytest.mark.parametrize("refuses", [Denied("exceeded quota"), Invalid("by a policy")])
def test_a_users_secret_that_may_not_be_looked_for_counts_as_there(refuses: KubeError) -> None:
    world = World(endpoint=NAMED)
    world.sees()
    world.api.refuses = refuses
    assert world.sees() is None


@pytest.mark.parametrize("refuses", [Denied("exceeded quota"), Transient("away")])
def test_what_cannot_be_made_ends_the_pass(refuses: KubeError) -> None:
    world = World()
    world.api.refuses = refuses
    with pytest.raises(type(refuses)):
        world.sees()
    world.api.refuses = None
    world.sees()
    assert world.api.asked == OURS


def test_a_model_that_is_gone_is_forgotten() -> None:
    world = World()
    world.sees()
    world.secrets.forget(LLAMA)
    world.sees()
    assert world.api.asked == OURS


@pytest.mark.parametrize(
    ("raw", "waits"),
    [
        ({"spec": {"nodeName": "n"}, "status": WAITS}, True),
        ({"spec": {}, "status": WAITS}, False),
        ({"spec": {"nodeName": "n"}, "status": {**WAITS, "phase": "Running"}}, False),
        ({"spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}, False),
    ],
)
def test_a_pod_on_a_node_without_a_sandbox_waits_for_volumes(
    raw: dict[str, Any], waits: bool
) -> None:
    assert read_pod(raw).waits_for_volumes is waits


def test_what_is_derived_differs_by_purpose_and_by_whom() -> None:
    key, other = InstallKey(b"k" * 32), InstallKey(b"o" * 32)
    derived = [
        *(it(UID) for it in (key.ray_token, key.probe_key, other.ray_token, other.probe_key)),
        *(key.ray_token("another"), key.probe_key("another")),
        *(key.api_key("llama", "models"), key.api_key("models", "llama")),
        *(key.api_key("llama", "others"), other.api_key("llama", "models")),
    ]
    assert len(set(derived)) == len(derived)
    assert key.api_key("llama", "models") == InstallKey(b"k" * 32).api_key("llama", "models")
    assert "kkk" not in repr(key)
