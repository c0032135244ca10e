"""How tries are paced."""

from __future__ import annotations

from freehold.controller.backoff import Backoff
from freehold.controller.queue import Key

LLAMA, OTHER = Key("models", "llama"), Key("models", "other")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def paused(clock: Clock, backoff: Backoff, what: str = "it") -> float:
    """Wait until a try is due, try, and return how long that was."""
    wait = backoff.wait(LLAMA, what)
    clock.now += wait
    assert backoff.wait(LLAMA, what) == 0
    backoff.tried(LLAMA)
    return wait


def test_each_pause_is_twice_as_long_up_to_ten_minutes() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    assert [paused(clock, backoff) for _ in range(9)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert backoff.times(LLAMA, "it") == 9
    assert backoff.times(LLAMA, "else") == backoff.times(OTHER, "it") == 0


def test_something_else_and_what_was_forgotten_begin_anew() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    paused(clock, backoff)
    assert backoff.wait(LLAMA, "it") == 10
    assert backoff.wait(LLAMA, "else") == 5
    backoff.tried(LLAMA)
    backoff.forget(LLAMA)
    assert backoff.times(LLAMA, "else") == 0
    assert backoff.wait(LLAMA, "else") == 5
