"""The traffic, hardware and cold starts on which policies are compared.

Nothing but what stands here differs between two scenarios: a policy is told the bound on the time
to the first token, and no more. Days of the 14-day trace, and clients of the one-day trace, are
kept apart: policies are developed on one part and reported on the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from benchmarks.autoscaling import replica
from benchmarks.autoscaling.clairvoyant import work
from benchmarks.autoscaling.fleet import Setting
from benchmarks.autoscaling.replica import Hardware
from benchmarks.autoscaling.traffic import Requests, at_rates, azure, served, with_lengths_of

Part = Literal["development", "test"]
# m-large: days of the trace; deepseek-r1: whether a client's number is even
_DAYS: dict[Part, tuple[int, ...]] = {"development": (1, 2, 3, 5), "test": (8, 9, 10, 12)}
_EVEN: dict[Part, bool] = {"development": True, "test": False}
# What the beginning is sized for.
_BEGINNING_S, _BEGINNING_UTILISATION = 900.0, 0.7
# Prompts of a chat, made as long as those of long documents.
_LONG_PROMPTS, _LONGEST_PROMPT = 13.0, 60_000

Traffic = Callable[[Part, int], Requests]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name, where it is served, and by what traffic.

    Attributes:
        name: For tables and caches.
        about: What it is, in a line.
        hardware: Of a replica.
        cold_start: Seconds.
        bound: Seconds to the first token.
        traffic: The requests of a part and a seed.
        steps: Whether load steps unannounced, where no policy can do what the clairvoyant does.
    """

    name: str
    about: str
    hardware: Hardware
    cold_start: float
    bound: float
    traffic: Traffic
    steps: bool = False

    def requests(self, part: Part, seed: int) -> Requests:
        """Return its requests."""
        return self.traffic(part, seed)

    def setting(self, requests: Requests) -> Setting:
        """Return where they are served, with as many replicas as the beginning needs."""
        hardware = self.hardware.slower()
        early = requests.arrival < _BEGINNING_S
        busy = work(requests, hardware).total[early].sum() / _BEGINNING_S
        first = max(1, int(np.ceil(busy / _BEGINNING_UTILISATION)))
        return Setting(hardware, self.cold_start, self.bound, first)


def _chat(day: int, rate: float, **lengths: Any) -> Traffic:
    return lambda part, seed: served("m-large", _DAYS[part][day], rate, seed, **lengths)


def _reasoning(rate: float) -> Traffic:
    def drawn(part: Part, seed: int) -> Requests:
        even = _EVEN[part]
        return served("deepseek-r1", 0, rate, seed, lambda client: (client % 2 == 0) == even)

    return drawn


def _code(day: int, rate: float) -> Traffic:
    def drawn(part: Part, seed: int) -> Requests:
        return with_lengths_of(_chat(day, rate)(part, seed), azure("code"), seed)

    return drawn


def _steps(rate: float) -> Traffic:
    def drawn(part: Part, seed: int) -> Requests:
        hour = 3600.0
        course = (
            (hour, rate),
            (hour, 4 * rate),
            (hour, rate),
            (hour, 8 * rate),
            (2 * hour, rate),
        )
        return at_rates(course, azure("conv"), seed + (1000 if part == "test" else 0))

    return drawn


SCENARIOS = (
    Scenario(
        "chat-405b",
        "chat, Llama 3.1 405B, cold start 300 s",
        replica.LLAMA_405B_H100,
        300,
        5,
        _chat(0, 24),
    ),
    Scenario(
        "chat-405b-600",
        "chat, 405B, cold start 600 s",
        replica.LLAMA_405B_H100,
        600,
        5,
        _chat(1, 24),
    ),
    Scenario(
        "chat-70b", "chat, 70B, cold start 300 s", replica.LLAMA_70B_H100, 300, 2, _chat(2, 40)
    ),
    Scenario(
        "chat-8b", "chat, 8B on L40S, cold start 60 s", replica.LLAMA_8B_L40S, 60, 2, _chat(3, 30)
    ),
    Scenario(
        "reasoning-70b",
        "reasoning, 70B, cold start 300 s",
        replica.LLAMA_70B_H100,
        300,
        2,
        _reasoning(12),
    ),
    Scenario(
        "reasoning-8b",
        "reasoning, 8B on L40S, KV cache binds, cold start 60 s",
        replica.LLAMA_8B_L40S,
        60,
        2,
        _reasoning(3),
    ),
    Scenario(
        "code-405b", "code, 405B, cold start 300 s", replica.LLAMA_405B_H100, 300, 5, _code(0, 20)
    ),
    Scenario(
        "code-70b", "code, 70B, cold start 600 s", replica.LLAMA_70B_H100, 600, 2, _code(2, 40)
    ),
    Scenario(
        "long-70b",
        "prompts of 12k tokens, 70B, cold start 300 s",
        replica.LLAMA_70B_H100,
        300,
        10,
        _chat(1, 6, prompts=_LONG_PROMPTS, longest=_LONGEST_PROMPT),
    ),
    Scenario(
        "steps-70b",
        "70B, unannounced steps of 4x and 8x, cold start 300 s",
        replica.LLAMA_70B_H100,
        300,
        2,
        _steps(6),
        steps=True,
    ),
)
