"""What a replica must be able to hold."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.api.modeldeployment import Workload
from freehold.plan.kv_cache import KVCacheCost

# Without a stated context a replica must hold at least this, or more devices are taken.
LEAST_CONTEXT = 8192
# A chat request as public traces have it (a prompt of about 1,000 tokens and some hundred back),
# rounded up; only used to choose how many run at once when nothing was said of the workload.
TYPICAL_REQUEST = 2048
# vLLM's own default on most devices.
MOST_SEQUENCES = 256


@dataclass(frozen=True, slots=True)
class Demand:
    """Context and concurrency asked of one replica, in tokens.

    Attributes:
        context: Longest request; None for the longest that fits.
        limit: The model's own longest request.
        least: Least context that is acceptable when ``context`` is None.
        concurrent: Requests at once.
        tokens: Tokens of each of them.
    """

    context: int | None
    limit: int
    least: int
    concurrent: int
    tokens: int

    def bytes_needed(self, cost: KVCacheCost) -> int:
        """Return the KV cache bytes that one device must offer."""
        context = self.context or self.least
        return max(cost.bytes_for(1, context), cost.bytes_for(self.concurrent, self.tokens))

    def context_within(self, cost: KVCacheCost, available: float) -> int:
        """Return the context to serve with ``available`` bytes."""
        return self.context or cost.longest(available, self.limit)


def demand_of(context: int | None, workload: Workload | None, limit: int, pinned: bool) -> Demand:
    """Return what the spec asks for; with a pinned parallelism any context is acceptable."""
    concurrent = workload.concurrent_requests if workload else 1
    tokens = workload.prompt_tokens + workload.output_tokens if workload else 1
    floor = min(limit, 1 if pinned else LEAST_CONTEXT)
    return Demand(context, limit, max(floor, min(tokens, limit)), concurrent, tokens)


def sequences(
    demand: Demand, cost: KVCacheCost, available: float, context: int, has_workload: bool
) -> int:
    """Return how many sequences a replica should run at once."""
    if has_workload:
        return demand.concurrent
    typical = min(context, TYPICAL_REQUEST)
    held = cost.capacity(available, context) // typical
    return max(1, min(MOST_SEQUENCES, held))
