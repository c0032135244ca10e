"""What a token costs a replica, learned from what replicas did.

An engine step takes ``a + p P + d B + c K``: a time of its own, and so much for each prompt token P
that it prefills, each sequence B that decodes and the share K of the KV cache that those attend to.
Replicas tell sums over their steps, and sums of a linear law are linear: least squares over them
give the four, old sums counting less and less.

A replica that is full runs as many sequences as its seats or its KV cache allow, ``B*``. What it
then needs for a prompt token is ``p``, and for a generated token ``a / B* + d + c k``, where k is
the share of the cache that one sequence holds. Both are replica-seconds a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# Sums of this many seconds of work and more are forgotten by 1/e.
_MEMORY_S = 3600.0
# What is taken for granted counts like so many seconds of work.
_PRIOR_S = 20.0
# A KV cache that is as full takes no further sequence.
_FULL = 0.92
_TERMS = 4
# A prior of nothing is held to as if it were this, in seconds.
_LEAST = 1e-6


class Work(NamedTuple):
    """What replicas did in some time, summed over them and over their steps.

    Attributes:
        busy: Seconds in steps.
        steps: Steps.
        prompt: Prompt tokens prefilled.
        generated: Tokens generated.
        kv: Share of the KV cache in use, summed over steps.
    """

    busy: float = 0.0
    steps: float = 0.0
    prompt: float = 0.0
    generated: float = 0.0
    kv: float = 0.0


@dataclass(frozen=True, slots=True)
class StepCost:
    """Seconds of a step: of its own, a prompt token, a sequence, a full KV cache."""

    step: float = 0.02
    prompt: float = 1e-4
    sequence: float = 5e-5
    kv: float = 0.01

    @property
    def terms(self) -> tuple[float, ...]:
        """Return the four in the order of ``Work``."""
        return (self.step, self.prompt, self.sequence, self.kv)

    def token_costs(self, batch: float, kv_of_one: float) -> tuple[float, float]:
        """Return the replica-seconds of a prompt token and of a generated one.

        Args:
            batch: Sequences that a full replica runs.
            kv_of_one: Share of the KV cache that one of them holds.
        """
        return self.prompt, self.step / batch + self.sequence + self.kv * kv_of_one


def full_batch(seats: float, kv_of_one: float) -> float:
    """Return the sequences that a full replica runs, by its seats or its KV cache."""
    return max(1.0, min(seats, _FULL / kv_of_one if kv_of_one > 0 else seats))


class Rates(NamedTuple):
    """The normal equations: products of what was done, and of that with the time it took.

    Attributes:
        products: The upper half of the matrix, row after row.
        times: The right-hand side.
        busy: Seconds of work that they are sums of.
    """

    products: tuple[float, ...] = (0.0,) * (_TERMS * (_TERMS + 1) // 2)
    times: tuple[float, ...] = (0.0,) * _TERMS
    busy: float = 0.0

    def after(self, work: Work) -> Rates:
        """Return what is known after some more work."""
        if work.steps <= 0 or work.busy <= 0:
            return self
        kept = max(0.0, 1.0 - work.busy / _MEMORY_S)
        # sums weigh by their length: each counts like as many steps as it has
        weight = 1.0 / work.steps
        done = work[1:]
        products = [done[i] * done[j] * weight for i in range(_TERMS) for j in range(i, _TERMS)]
        return Rates(
            tuple(kept * old + new for old, new in zip(self.products, products, strict=True)),
            tuple(
                kept * old + it * work.busy * weight
                for old, it in zip(self.times, done, strict=True)
            ),
            kept * self.busy + work.busy,
        )

    def cost(self, prior: StepCost) -> StepCost:
        """Return the costs that fit best, none of them negative.

        Args:
            prior: What is taken for granted while little is known.
        """
        believed = prior.terms
        matrix = [[0.0] * _TERMS for _ in range(_TERMS)]
        at = 0
        for i in range(_TERMS):
            for j in range(i, _TERMS):
                matrix[i][j] = matrix[j][i] = self.products[at]
                at += 1
        right = list(self.times)
        for i, value in enumerate(believed):
            belief = self._belief(matrix[i][i], believed[0], value)
            matrix[i][i] += belief
            right[i] += belief * value
        return StepCost(*_non_negative(matrix, right))

    def _belief(self, seen: float, step: float, value: float) -> float:
        """Return what a prior value counts for, beside the sum of squares seen of its term.

        As if it had been seen in steps like those that were. Before any, or where those say more,
        in steps whose every part took as long by the prior: a prior that is wrong by far would
        otherwise be held to for ever, since its steps are none that occur.
        """
        believed = _PRIOR_S * step / max(value, _LEAST) ** 2 / _TERMS
        return min(believed, seen * _PRIOR_S / self.busy) if seen > 0 else believed


def _non_negative(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Return the least squares where no unknown is negative: negative ones are left out in turn."""
    free = list(range(len(right)))
    while free:
        found = _solve([[matrix[i][j] for j in free] for i in free], [right[i] for i in free])
        worst = min(range(len(free)), key=found.__getitem__)
        if found[worst] >= 0:
            break
        free.pop(worst)
    solved = dict(zip(free, found, strict=True)) if free else {}
    return [solved.get(i, 0.0) for i in range(len(right))]


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Return the solution of a positive definite system, by elimination."""
    size = len(right)
    for i in range(size):
        for k in range(i + 1, size):
            factor = matrix[k][i] / matrix[i][i]
            for j in range(i, size):
                matrix[k][j] -= factor * matrix[i][j]
            right[k] -= factor * right[i]
    found = [0.0] * size
    for i in reversed(range(size)):
        rest = sum(matrix[i][j] * found[j] for j in range(i + 1, size))
        found[i] = (right[i] - rest) / matrix[i][i]
    return found
