"""A source that gave no answer is read again, later, and what was said of it stays said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.unit.render.rendered import planned

from freehold.api import conditions as api
from freehold.controller.cache import Cache
from freehold.controller.describing import AGAIN_S, Describer
from freehold.controller.gather import Seen
from freehold.controller.queue import Key
from freehold.kube.client import KubeClient
from freehold.kube.errors import AlreadyExists
from freehold.kube.resources import PODS
from freehold.render.source_pin import SourcePin
from freehold.sources.told import Told, tell
from freehold.status.outcome import Finding

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
KEY = Key("models", "llama")
PIN = SourcePin(digest=f"sha256:{'a' * 64}")


class Pods:
    """Stands for the API server: the pods of one namespace, gone as soon as they are deleted."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.made = 0

    async def create(self, resource: Any, body: dict[str, Any]) -> dict[str, Any]:
        assert resource == PODS
        name = body["metadata"]["name"]
        if name in self.there:
            raise AlreadyExists(name)
        self.made += 1
        metadata = {**body["metadata"], "uid": f"pod-{self.made}", "resourceVersion": "1"}
        self.there[name] = {**body, "metadata": metadata, "status": {"phase": "Pending"}}
        return self.there[name]

    async def delete(self, resource: Any, namespace: str, name: str, uid: str) -> None:
        assert self.there.pop(name)["metadata"]["uid"] == uid

    def end(self, message: str, phase: str = "Succeeded") -> None:
        (pod,) = self.there.values()
        ended = {"exitCode": 0, "message": message, "finishedAt": NOW.isoformat()}
        status = [{"name": "describe", "state": {"terminated": ended}}]
        pod["status"] = {"phase": phase, "containerStatuses": status}


class World:
    """A model whose source is read by pods, and a clock."""

    def __init__(self, place: str = "s3://models/llama") -> None:
        source = {"source": place, "contextLength": 8192}
        shape = {"architecture": planned()[1].model.to_dict()}
        self.model, _ = planned(model=source | shape)
        self.pods, self.now = Pods(), NOW
        self.describer = Describer(
            cast(KubeClient, self.pods), Cache(), lambda: self.now, image="freehold:1"
        )

    async def look(self) -> Told | Finding:
        """Look once, with the pods that are there."""
        seen = Seen(
            key=KEY,
            model={"metadata": {"uid": "the-uid"}, "spec": {}},
            version=1,
            revisions=(),
            asked={},
            children={},
            clusters=(),
            ray_service=None,
            ray_clusters=(),
            pods=(),
            describing=tuple(json.loads(json.dumps([*self.pods.there.values()]))),
        )
        return await self.describer.look(self.model, seen, {}, pin_only=True)


def reason(found: Told | Finding) -> str:
    assert isinstance(found, Finding)
    return found.reason.name


async def test_one_pod_is_made_and_its_answer_stands_until_it_is_cleared() -> None:
    world = World()
    for _ in range(3):
        assert reason(await world.look()) == api.DESCRIBING_MODEL.name
    assert world.pods.made == 1
    world.pods.end(tell(Told(pin=PIN)))
    world.now += timedelta(days=1)
    for _ in range(3):
        assert await world.look() == Told(pin=PIN)
    assert world.pods.made == 1


async def test_a_failure_is_tried_again_and_said_meanwhile() -> None:
    world = World()
    await world.look()
    world.pods.end("Killed")
    assert reason(await world.look()) == api.DESCRIBE_FAILED.name
    world.now += timedelta(seconds=AGAIN_S - 1)
    assert reason(await world.look()) == api.DESCRIBE_FAILED.name
    assert len(world.pods.there) == 1, "not yet"
    world.now += timedelta(seconds=1)
    await world.look()
    assert world.pods.there == {}
    # another pod tries, and the status does not go to and fro
    for _ in range(2):
        assert reason(await world.look()) == api.DESCRIBE_FAILED.name
    assert world.pods.made == 2
    world.pods.end(tell(Told(pin=PIN)))
    assert await world.look() == Told(pin=PIN)


async def test_an_answer_is_read_before_the_kubelet_calls_the_pod_ended() -> None:
    world = World()
    await world.look()
    world.pods.end(tell(Told(pin=PIN)), phase="Running")
    assert await world.look() == Told(pin=PIN)


async def test_an_answer_to_another_question_is_none() -> None:
    world = World()
    await world.look()
    world.pods.end(tell(Told(pin=SourcePin("0" * 40))))
    found = await world.look()
    assert isinstance(found, Finding)
    assert "it told no digest" in found.message


async def test_without_an_image_no_pod_is_asked_and_offline_public_hubs_are_too() -> None:
    public, _ = planned()
    private = World().model
    nobody = Describer(cast(KubeClient, Pods()), Cache(), lambda: NOW)
    online = Describer(cast(KubeClient, Pods()), Cache(), lambda: NOW, "image")
    offline = Describer(cast(KubeClient, Pods()), Cache(), lambda: NOW, "image", offline=True)
    asked = [
        [it.is_asked(model) for model in (public, private)] for it in (nobody, online, offline)
    ]
    assert asked == [[False, False], [False, True], [True, True]]


async def test_a_folder_that_a_node_does_not_have_is_told_and_waited_for() -> None:
    world = World("file:///mnt/models/llama")
    await world.look()
    (pod,) = world.pods.there.values()
    pod["spec"] = {**pod["spec"], "nodeName": "node-7"}
    sandbox = {"type": "PodReadyToStartContainers", "status": "False"}
    pod["status"] |= {"startTime": NOW.isoformat(), "conditions": [sandbox]}
    found = await world.look()
    assert reason(found) == api.DESCRIBING_MODEL.name, "it may be mounted in a moment"
    assert isinstance(found, Finding)
    again = world.describer.look_again(world.model, found)
    assert again is not None
    world.now += timedelta(seconds=again)
    found = await world.look()
    assert isinstance(found, Finding) and reason(found) == api.DESCRIBE_FAILED.name
    assert "file:///mnt/models/llama" in found.message and "node-7 has no such" in found.message
    world.pods.end(tell(Told(pin=PIN)))
    assert await world.look() == Told(pin=PIN)
