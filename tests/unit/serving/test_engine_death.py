"""A replica ends with its engine, once and not before."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import Any

import pytest

from freehold.serving import engine_death
from freehold.serving.engine_death import AliveOnly, end_with


class FakeEngine:
    errored = False
    dead_error = RuntimeError("a worker was killed")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_death, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(engine_death, "_LAST_WORDS_SECONDS", 0.0)
    monkeypatch.setattr(engine_death, "IS_DEAD", threading.Event())


async def test_it_ends_once_the_engine_is_dead_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, codes = FakeEngine(), list[int]()
    watch = asyncio.create_task(end_with(engine, codes.append))
    for _ in range(10):
        await asyncio.sleep(0)
    assert codes == [] and not watch.done() and not engine_death.IS_DEAD.is_set()
    engine.errored = True
    with caplog.at_level(logging.ERROR, "ray.serve"):
        await watch
    assert codes == [1] and engine_death.IS_DEAD.is_set()
    assert "a worker was killed" in caplog.text


@pytest.mark.parametrize(
    ("status", "dies", "is_answered"),
    [(500, True, False), (500, False, True), (400, True, True), (200, True, True)],
)
async def test_a_request_that_the_engine_had_is_not_told_of_its_death(
    status: int, dies: bool, is_answered: bool
) -> None:
    engine, sent = FakeEngine(), list[Any]()
    answer = [
        {"type": "http.response.start", "status": status},
        {"type": "http.response.body", "body": b""},
    ]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        engine.errored = dies
        for message in answer:
            await send(message)

    async def send(message: Any) -> None:
        sent.append(message)

    with suppress(TimeoutError):
        await asyncio.wait_for(AliveOnly(app, engine)({"type": "http"}, None, send), 0.05)
    assert sent == (answer if is_answered else [])


async def test_what_comes_to_a_dead_engine_gets_no_answer() -> None:
    engine, seen = FakeEngine(), list[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    alive = AliveOnly(app, engine)
    await alive({"type": "http", "path": "/before"}, None, None)
    engine.errored = True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(alive({"type": "http", "path": "/after"}, None, None), 0.05)
    assert seen == ["/before"]
