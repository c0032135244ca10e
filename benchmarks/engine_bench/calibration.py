"""The time of an engine's step, fitted to what the engine counts of itself.

Two kinds of requests tell the two halves of ``StepTime`` apart: prompts one after the other, of
which each is a step and no more, and answers that are generated side by side, between two looks
without a prompt. Relative errors are made least, so that short steps count like long ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from benchmarks.autoscaling.replica import Hardware, StepTime
from benchmarks.autoscaling.traffic import Requests
from benchmarks.engine_bench.engine import SEATS, TOKEN_BUDGET, Engine

from freehold.serving.autoscaling.rates import Work

# tokens; shorter ones take as long as a step takes anyway
_PROMPTS, _EACH = (64, 128, 256, 512, 1024), 6
_SIDE_BY_SIDE = (1, 2, 4, 8, SEATS)
_DECODED_PROMPTS, _DECODED = (16, 256, 600), 160


@dataclass(frozen=True, slots=True)
class Decoding:
    """What was done between two looks at answers that are generated side by side.

    Attributes:
        busy: Seconds in steps.
        steps: Steps.
        generated: Tokens.
        context: Tokens that these attend to, summed over them.
    """

    busy: float
    steps: float
    generated: float
    context: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What an engine was found to be.

    Attributes:
        hardware: For the simulator.
        prefill_error: Mean relative error of its steps with a prompt.
        decode_error: And of what was generated between two looks.
        looks: How many of these there were.
    """

    hardware: Hardware
    prefill_error: float
    decode_error: float
    looks: int


def calibrate(engine: Engine) -> Calibrated:
    """Ask an engine what tells its step times apart, and return those."""
    prompts = [(tokens, _of_prompts(engine, tokens)) for tokens in _PROMPTS]
    decoding = [
        it
        for tokens in _DECODED_PROMPTS
        for many in _SIDE_BY_SIDE
        for it in _side_by_side(engine, tokens, many)
    ]
    return fitted(prompts, decoding)


def fitted(prompts: Sequence[tuple[int, float]], decoding: Sequence[Decoding]) -> Calibrated:
    """Return the step times that fit best, none of their parts negative.

    Args:
        prompts: Tokens of a prompt, and the seconds of the step that prefills it.
        decoding: Looks at steps without a prompt.
    """
    tokens, took = np.array(prompts, float).T
    p, p_error = _least([np.ones_like(tokens), tokens, tokens**2], took)
    busy, steps, generated, context = np.array(
        [(it.busy, it.steps, it.generated, it.context) for it in decoding]
    ).T
    d, d_error = _least([steps, generated, context / 1e3], busy)
    step = StepTime(*(1e3 * np.concatenate([p, d])))
    # the cache holds all that so many seats can ask for
    hardware = Hardware("engine", 1, step, SEATS * 4 * TOKEN_BUDGET, SEATS, TOKEN_BUDGET)
    return Calibrated(hardware, p_error, d_error, len(decoding))


def _of_prompts(engine: Engine, tokens: int) -> float:
    """Return the mean time of a step that prefills so many tokens and nothing else."""
    before = engine.looks()[-1]
    for _ in range(_EACH):
        engine.ask(_alike(1, tokens, 1))
    after = engine.counted(before.generated + _EACH)[-1]
    return (after.busy - before.busy) / (after.steps - before.steps)


def _side_by_side(engine: Engine, tokens: int, many: int) -> list[Decoding]:
    at = len(engine.looks()) - 1
    begin = engine.looks()[at]
    engine.ask(_alike(many, tokens, _DECODED))
    looks = engine.counted(begin.generated + many * _DECODED)[at:]
    return decoded(begin, looks, tokens, many)


def decoded(begin: Work, looks: Sequence[Work], prompt: int, many: int) -> list[Decoding]:
    """Return what was done from look to look where no prompt was prefilled.

    Args:
        begin: What had been done before the first request.
        looks: What had been done by each look.
        prompt: Tokens of each prompt.
        many: Requests that run side by side, from the first token to the last.
    """
    found = []
    for before, after in pairwise(looks):
        generated = after.generated - before.generated
        if after.prompt > before.prompt or generated <= 0:
            continue
        middle = (before.generated + after.generated) / 2 - begin.generated
        context = generated * (prompt + middle / many)
        busy, steps = after.busy - before.busy, after.steps - before.steps
        found.append(Decoding(busy, steps, generated, context))
    return found


def _alike(many: int, prompt: int, output: int) -> Requests:
    return Requests(np.zeros(many), np.full(many, prompt), np.full(many, output))


def _least(terms: Sequence[Any], took: Any) -> tuple[Any, float]:
    """Return factors that make the relative error least, and its mean; negative ones are 0."""
    matrix = np.stack(terms, 1) / took[:, None]
    used = np.ones(len(terms), bool)
    while True:
        factors = np.zeros(len(terms))
        factors[used] = np.linalg.lstsq(matrix[:, used], np.ones(len(took)), rcond=None)[0]
        if (factors >= 0).all():
            return factors, float(np.abs(matrix @ factors - 1).mean())
        used &= factors >= 0
