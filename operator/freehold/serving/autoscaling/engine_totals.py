"""What an engine did since it started, as its replica tells it to Serve and as the policy reads it.

Serve carries plain numbers by name. Sums are told, not rates: a number that was lost on its way, or
is looked at twice, then takes nothing away and counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from freehold.serving.autoscaling.load import Replica
from freehold.serving.autoscaling.rates import Work

# First tokens that took longer are counted for each of these, in seconds: what a replica tells does
# not depend on what it is to attain, which changes while it runs.
BOUNDS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)


@dataclass(frozen=True, slots=True)
class Queue:
    """What the scheduler holds after a step: requests, and the share of the KV cache in use."""

    running: int = 0
    waiting: int = 0
    kv: float = 0.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a step computed.

    Attributes:
        prompt: Prompt tokens, those found in the prefix cache aside.
        generated: Tokens generated.
        finished: Requests that ended.
        first: Seconds that each request waited that had its first token.
    """

    prompt: int = 0
    generated: int = 0
    finished: int = 0
    first: tuple[float, ...] = ()


@dataclass(slots=True)
class EngineTotals:
    """Sums over the steps of an engine, one step after the other."""

    queue: Queue = field(default_factory=Queue)
    busy: float = 0.0
    steps: int = 0
    prompt: int = 0
    generated: int = 0
    kv: float = 0.0
    finished: int = 0
    late: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    _ended_at: float = 0.0

    def add(self, at: float, queue: Queue, tokens: Tokens) -> None:
        """Count a step that ended.

        Args:
            at: When, in seconds.
            queue: What is there after it.
            tokens: What it computed.
        """
        began = self._began(at, tokens.first)
        if began is not None:
            self.busy += max(0.0, at - began)
            self.steps += 1
            self.kv += queue.kv
        self.prompt += tokens.prompt
        self.generated += tokens.generated
        self.finished += tokens.finished
        for index, bound in enumerate(BOUNDS):
            self.late[index] += sum(it > bound for it in tokens.first)
        self.queue, self._ended_at = queue, at

    def _began(self, at: float, first: Iterable[float]) -> float | None:
        """Return when a step began: with the end of the last one, or with what came to an idle one.

        None where nothing tells: an idle engine that computes a part of a prompt.
        """
        if self.queue.running or self.queue.waiting:
            return self._ended_at
        waited = max(first, default=None)
        return None if waited is None else max(self._ended_at, at - waited)

    def told(self) -> dict[str, float]:
        """Return the numbers by name."""
        numbers: dict[str, float] = {
            "running": self.queue.running,
            "waiting": self.queue.waiting,
            "kv_cache_usage": self.queue.kv,
            "busy": self.busy,
            "steps": self.steps,
            "prompt": self.prompt,
            "generated": self.generated,
            "kv": self.kv,
            "finished": self.finished,
        }
        numbers |= {_late(bound): it for bound, it in zip(BOUNDS, self.late, strict=True)}
        return {name: float(it) for name, it in numbers.items()}


def replica(name: str, told: Mapping[str, float], bound: float) -> Replica | None:
    """Return what a replica told; None where a number is missing.

    Args:
        name: Of the replica.
        told: The numbers by name.
        bound: Seconds that a first token may take; counted is the longest time within.
    """
    within = max((it for it in BOUNDS if it <= bound), default=BOUNDS[0])
    try:
        return Replica(
            name=name,
            running=told["running"],
            waiting=told["waiting"],
            kv=told["kv_cache_usage"],
            finished=told["finished"],
            late=told[_late(within)],
            work=Work(told["busy"], told["steps"], told["prompt"], told["generated"], told["kv"]),
        )
    except KeyError:
        return None


def _late(bound: float) -> str:
    return f"first_token_over_{bound:g}_s"
