"""Of two models with one served name in a namespace, the older one holds it."""

from __future__ import annotations

from typing import Any

from freehold.controller.queue import Key
from freehold.controller.served_names import ServedNames

OLD, YOUNG, ELSEWHERE = Key("models", "old"), Key("models", "young"), Key("others", "young")


def model(served: str | None, created: str) -> dict[str, Any]:
    spec = {"model": {"servedName": served} if served else {}}
    return {"metadata": {"creationTimestamp": created}, "spec": spec}


def test_the_older_holds_the_name_whichever_was_seen_first() -> None:
    names = ServedNames()
    names.take(YOUNG, model("llama", "2026-11-02T00:00:00Z"))
    names.take(OLD, model("llama", "2026-11-01T00:00:00Z"))
    assert names.holder(YOUNG) == OLD
    assert names.holder(OLD) == OLD


def test_a_namespace_of_its_own_has_names_of_its_own() -> None:
    names = ServedNames()
    names.take(OLD, model("llama", "2026-11-01T00:00:00Z"))
    names.take(ELSEWHERE, model("llama", "2026-11-02T00:00:00Z"))
    assert names.holder(ELSEWHERE) == ELSEWHERE


def test_a_name_that_is_not_written_is_the_object_s_own() -> None:
    names = ServedNames()
    names.take(YOUNG, model("old", "2026-11-01T00:00:00Z"))
    names.take(OLD, model(None, "2026-11-02T00:00:00Z"))
    assert names.holder(OLD) == YOUNG


def test_asking_leaves_nothing_behind() -> None:
    names = ServedNames()
    assert names.holder(OLD) == OLD
    assert names == ServedNames()


def test_who_may_come_to_a_name_is_told_when_its_holder_goes_or_takes_another() -> None:
    names = ServedNames()
    names.take(OLD, model("llama", "2026-11-01T00:00:00Z"))
    names.take(YOUNG, model("llama", "2026-11-02T00:00:00Z"))
    assert names.take(OLD, model("other", "2026-11-01T00:00:00Z")) == [YOUNG]
    assert names.holder(YOUNG) == YOUNG
    names.take(OLD, model("llama", "2026-11-01T00:00:00Z"))
    assert names.take(OLD, None) == [YOUNG]
