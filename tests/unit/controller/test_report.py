"""What is told of models for metrics, and that a deleted one is told of no more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from freehold.controller.cache import Cache
from freehold.controller.gather import Seen, gather
from freehold.controller.queue import Key
from freehold.controller.report import Reporter
from freehold.kube.client import KubeClient
from freehold.kube.resources import MODEL_DEPLOYMENTS

CHAT = Key("models", "chat")
NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
STATUS: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True"}]}


def seen() -> Seen:
    cache = Cache()
    metadata = {"name": CHAT.name, "namespace": CHAT.namespace, "uid": "u", "resourceVersion": "1"}
    cache.seen(MODEL_DEPLOYMENTS, {"metadata": metadata, "spec": {}, "status": STATUS})
    found = gather(cache, CHAT, set())
    assert found is not None
    return found


async def test_a_model_that_was_deleted_while_its_pass_ran_is_counted_no_more() -> None:
    counted: dict[Key, Mapping[str, Any]] = {}
    reporter = Reporter(cast(KubeClient, None), "us", counted.__setitem__)
    counted[CHAT] = {}  # as the informer tells that it is gone, amid a pass
    await reporter.report(seen(), STATUS, NOW)
    assert counted == {CHAT: STATUS}
    reporter.forget(CHAT)
    assert counted == {CHAT: {}}
