"""What the parts of one operator remember of models ends with the models."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from freehold.controller.install_key import InstallKey
from freehold.controller.metrics import Metrics
from freehold.controller.operator import Operator, Settings
from freehold.controller.queue import Key, Pace
from freehold.controller.reconcile import Next
from freehold.kube.resources import CONTROLLER_REVISIONS, RAY_SERVICES

CHAT = Key("models", "chat")


@pytest.fixture
def operator() -> Operator:
    endpoints = SimpleNamespace(answers=None)
    metrics = Metrics(CollectorRegistry(), version="1")
    parts: Any = (None, None, endpoints, metrics, InstallKey(b"k" * 32))
    return Operator(*parts, Settings())


def of_chat(uid: str, **metadata: Any) -> dict[str, Any]:
    labels = {"freehold.dev/model": CHAT.name}
    known = {"name": "chat", "namespace": CHAT.namespace, "uid": uid, "labels": labels}
    return {"metadata": known | {"resourceVersion": "1"} | metadata}


async def use_up_the_burst(operator: Operator) -> None:
    for _ in range(Pace().burst):
        operator.queue.add(CHAT)
        operator.queue.done(await operator.queue.take())
    operator.queue.add(CHAT)
    assert operator.queue.depth == 0


async def test_of_a_model_that_is_gone_the_queue_remembers_nothing(operator: Operator) -> None:
    await use_up_the_burst(operator)
    assert await operator.reconciler.reconcile(CHAT) == Next()
    operator.queue.add(CHAT)
    assert operator.queue.depth == 1


async def test_while_something_of_it_is_left_the_queue_remembers_it(operator: Operator) -> None:
    await use_up_the_burst(operator)
    finalizers = ["ray.io/rayservice-finalizer"]
    ending = of_chat("r", deletionTimestamp="2026-11-23T00:00:00Z", finalizers=finalizers)
    operator.informers.cache.seen(RAY_SERVICES, ending)
    assert (await operator.reconciler.reconcile(CHAT)).after is not None
    operator.queue.add(CHAT)
    assert operator.queue.depth == 0


async def test_a_revision_that_is_gone_or_another_one_is_not_remembered(operator: Operator) -> None:
    cache, checked = operator.informers.cache, operator.reconciler.checked
    cache.seen(CONTROLLER_REVISIONS, of_chat("first"))
    checked.add("first")
    cache.seen(CONTROLLER_REVISIONS, of_chat("second", resourceVersion="2"))
    assert checked == set()
    checked.add("second")
    cache.seen(CONTROLLER_REVISIONS, of_chat("second", resourceVersion="3", annotations={}))
    assert checked == {"second"}
    cache.gone(CONTROLLER_REVISIONS, of_chat("second")["metadata"])
    assert checked == set()
