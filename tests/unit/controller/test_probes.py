"""One-token requests: one at a time for each model, and none right after a failure."""

from __future__ import annotations

import asyncio
import itertools

from tests.unit.virtual_time import run

from freehold.controller.probes import Probes
from freehold.controller.queue import Key
from freehold.status.outcome import Probe

LLAMA = Key("models", "llama")
ENGINES = frozenset({"one"})


class Endpoint:
    """Answers as told, after a second."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked_at: list[float] = []
        self.keys: list[str] = []

    async def __call__(self, base_url: str, model: str, api_key: str) -> str:
        self.keys.append(api_key)
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1)
        return self.answers.pop(0)


def test_one_request_at_a_time_and_its_answer_is_kept() -> None:
    async def story() -> None:
        endpoint, back = Endpoint(""), []
        probes = Probes(endpoint, back.append)
        for _ in range(3):
            probes.send(LLAMA, "http://llama/v1", "llama", "key", ENGINES)
        assert probes.last(LLAMA) is None
        await asyncio.sleep(2)
        assert probes.last(LLAMA) == Probe(ENGINES)
        assert endpoint.keys == ["key"]
        assert back == [LLAMA]

    run(story())


def test_failures_are_asked_again_later_and_later_and_the_queue_is_told_when() -> None:
    async def story() -> None:
        endpoint = Endpoint("broken", "broken", "broken", "")

        def back(key: Key) -> None:
            if probes.last(key) != Probe(ENGINES):
                probes.send(key, "http://llama/v1", "llama", "key", ENGINES)

        probes = Probes(endpoint, back)
        back(LLAMA)
        await asyncio.sleep(60)
        times = endpoint.asked_at
        assert [round(b - a) for a, b in itertools.pairwise(times)] == [3, 5, 9]
        assert probes.last(LLAMA) == Probe(ENGINES)

    run(story())


def test_a_model_that_is_gone_is_not_waited_for() -> None:
    async def story() -> None:
        back: list[Key] = []
        probes = Probes(Endpoint("broken"), back.append)
        probes.send(LLAMA, "http://llama/v1", "llama", "key", ENGINES)
        await asyncio.sleep(0.5)
        probes.forget(LLAMA)
        await asyncio.sleep(100)
        assert back == []
        assert probes.last(LLAMA) is None

    run(story())


def test_a_request_to_engines_that_are_gone_holds_up_no_other_ones() -> None:
    class Hangs(Endpoint):
        async def __call__(self, base_url: str, model: str, api_key: str) -> str:
            if base_url == "http://old/v1":
                await asyncio.Event().wait()
            return await super().__call__(base_url, model, api_key)

    async def story() -> None:
        probes = Probes(Hangs(""), lambda _: None)
        probes.send(LLAMA, "http://old/v1", "llama", "key", ENGINES)
        await asyncio.sleep(1)
        probes.send(LLAMA, "http://new/v1", "llama", "key", ENGINES | {"two"})
        await asyncio.sleep(5)
        assert probes.last(LLAMA) is None, "one of those that were asked still runs"
        probes.send(LLAMA, "http://new/v1", "llama", "key", frozenset({"two"}))
        await asyncio.sleep(2)
        assert probes.last(LLAMA) == Probe(frozenset({"two"}))

    run(story())


def test_what_nobody_foresaw_is_an_answer_like_any_other() -> None:
    class Breaks(Endpoint):
        async def __call__(self, base_url: str, model: str, api_key: str) -> str:
            if not self.asked_at:
                self.asked_at.append(0.0)
                raise RuntimeError("nobody thought of this")
            return await super().__call__(base_url, model, api_key)

    async def story() -> None:
        probes = Probes(Breaks(""), lambda _: None)
        probes.send(LLAMA, "http://llama/v1", "llama", "key", ENGINES)
        await asyncio.sleep(3)
        last = probes.last(LLAMA)
        assert last is not None and "nobody thought of this" in last.error
        probes.send(LLAMA, "http://llama/v1", "llama", "key", ENGINES)
        await asyncio.sleep(3)
        assert probes.last(LLAMA) == Probe(ENGINES)

    run(story())
