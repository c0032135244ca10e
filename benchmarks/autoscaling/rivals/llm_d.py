"""llm-d's workload-variant-autoscaler 0.9: V2, the saturation engine in tokens of KV cache."""

from __future__ import annotations

import math
from statistics import fmean, median

from benchmarks.autoscaling.fleet import Seen
from benchmarks.autoscaling.kernel import FINISHED, OUTPUT, PROMPT
from benchmarks.autoscaling.replica import Hardware
from benchmarks.autoscaling.rivals.window import Stabilization, Window

_KV_LIMIT = 0.80
_UP, _DOWN = 0.85, 0.70
_SATURATED_WAITING = 5
_SAMPLES = 10


class WorkloadVariantAutoscaler:
    """Tokens that are resident or wait, over what a replica was seen or is thought to hold.

    Its number goes through an HPA that waits for five minutes before it takes anything away.
    """

    interval = 15.0
    age = 7.5

    def __init__(self, hardware: Hardware, spread: float = 1.0) -> None:
        """Take the replica, and a factor on the two thresholds."""
        self._hardware = hardware
        self._up, self._down = _UP * spread, _DOWN * spread
        self._resident, self._waiting = Window(60.0), Window(60.0)
        self._seen_full: list[float] = []
        self._recommended = Stabilization(300.0)
        self._before = (0.0, 0.0, 0.0)
        self._prompt, self._output = 1000.0, 200.0

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return more where demand exceeds the upper threshold, fewer below the lower one."""
        self._learn_lengths(seen)
        ready = seen.ready
        tokens = seen.kv * self._hardware.kv_tokens
        self._resident.add(now, float(tokens.sum()))
        self._waiting.add(now, float(seen.queued + seen.waiting.sum()))
        demand = self._resident.most + self._waiting.most * (self._prompt + self._output)
        capacity = self._capacity(seen, tokens)
        there = len(ready) + len(seen.starting)
        number = wanted
        if (missing := demand / self._up - capacity * there) > 0:
            number = there + math.ceil(missing / capacity)
        elif (spare := capacity * len(ready) - demand / self._down) > 0:
            number = there - math.floor(spare / capacity)
        return self._recommended.settled(now, number, wanted)

    def _learn_lengths(self, seen: Seen) -> None:
        totals = tuple(float(seen.totals[it]) for it in (FINISHED, PROMPT, OUTPUT))
        ended, prompt, output = (
            now - before for now, before in zip(totals, self._before, strict=True)
        )
        if ended > 0 and prompt > 0 and output > 0:
            self._prompt += 0.2 * (prompt / ended - self._prompt)
            self._output += 0.2 * (output / ended - self._output)
        self._before = (totals[0], totals[1], totals[2])

    def _capacity(self, seen: Seen, tokens: object) -> float:
        """Return the median over replicas of the lesser of memory's and compute's limit."""
        it = self._hardware
        batch = min(it.token_budget * self._output / (self._prompt + self._output), it.max_num_seqs)
        thought = batch * (self._prompt + self._output / 2)
        limits = []
        for row in seen.ready.tolist():
            if seen.waiting[row] + seen.queued / max(1, len(seen.ready)) >= _SATURATED_WAITING:
                self._seen_full = [*self._seen_full[1 - _SAMPLES :], float(tokens[row])]  # type: ignore[index]
            compute = fmean(self._seen_full) if self._seen_full else thought
            limits.append(min(_KV_LIMIT * it.kv_tokens, max(1.0, compute)))
        return median(limits) if limits else _KV_LIMIT * it.kv_tokens
