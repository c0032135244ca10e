"""What a run found, kept as it comes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.cold_bench.watched import PARTS, TOKEN

FREEHOLD, PLAIN, VLLM = WAYS = ("freehold", "ray-service", "vllm")
# whatever else of the machine was busy: the node, its cluster, the kernel
REST = "rest"
What = Literal["apply", "wake"]


@dataclass(frozen=True)
class ColdStart:
    """One start, from an apply or from zero.

    Attributes:
        way: Who started; one of ``WAYS``.
        what: From what.
        round: In which round, from 1.
        moments: Seconds from the beginning until each part that it has had ended.
        asked: Requests that it took; one is enough where it is kept until it can be answered.
    """

    way: str
    what: What
    round: int
    moments: Mapping[str, float]
    asked: int

    @property
    def total(self) -> float:
        """Seconds to the first token."""
        return self.moments[TOKEN]

    @property
    def parts(self) -> dict[str, float]:
        """Seconds of each part that it has, which add up to the total.

        Each counts from the end of those before it: what ended sooner than they did took nothing
        more.
        """
        found: dict[str, float] = {}
        before = 0.0
        for part in (it for it in PARTS if it in self.moments):
            end = max(self.moments[part], before)
            found[part], before = end - before, end
        return found


@dataclass(frozen=True)
class Turn:
    """One way under load while the other stands still.

    Attributes:
        way: Which; one of ``WAYS``.
        round: In which round, from 1; the discarded one is not among them.
        streams: Requests under way at once.
        throughput: Tokens a second over all streams.
        first_p50: Seconds to the first token, median of the requests.
        first_p95: The same, 95th percentile.
        between_p50: Seconds between two tokens of one stream, median of the streams' means.
        cpu: CPU seconds for each token, by role; ``REST`` for what is neither in the way's pods nor
            the client.
    """

    way: str
    round: int
    streams: int
    throughput: float
    first_p50: float
    first_p95: float
    between_p50: float
    cpu: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Results:
    """A run so far.

    Attributes:
        conditions: When, on what, and which versions.
        cold: All starts.
        steady: All turns under load.
    """

    conditions: Mapping[str, str]
    cold: list[ColdStart] = field(default_factory=list)
    steady: list[Turn] = field(default_factory=list)

    def starts(self, what: What, way: str) -> list[ColdStart]:
        """Return one way's starts of a kind."""
        return [it for it in self.cold if (it.what, it.way) == (what, way)]

    def turns(self, streams: int, way: str) -> list[Turn]:
        """Return one way's turns with so many streams."""
        return [it for it in self.steady if (it.streams, it.way) == (streams, way)]

    def write(self, path: Path) -> None:
        """Write everything as JSON, each start with its parts."""
        starts = [asdict(it) | {"parts": it.parts, "total": it.total} for it in self.cold]
        data = {"conditions": dict(self.conditions), "cold": starts, "steady": self.steady}
        path.write_text(json.dumps(data, indent=1, default=asdict) + "\n")
