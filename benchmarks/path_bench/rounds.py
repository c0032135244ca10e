"""Rounds of load against servers of which one runs at a time, and their figures."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from path_bench.client import Round
from path_bench.family import Family
from path_bench.roles import used_since

_CLIENT = Path(__file__).with_name("client.py")
_CLIENT_SECONDS = 300.0
# Health checks and timers that fell due while a server was frozen have run by then.
_SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one round measured.

    Attributes:
        throughput: Tokens a second over all streams.
        first_p50: Seconds to the first token, median of the requests.
        first_p95: The same, 95th percentile.
        between_p50: Seconds between two tokens of one stream, median of the streams' means.
        cpu: CPU seconds for each token, by role; the client's too.
        chunks: Chunks for each token: below 1 where tokens were sent together.
    """

    throughput: float
    first_p50: float
    first_p95: float
    between_p50: float
    cpu: Mapping[str, float]
    chunks: float


def measure(family: Family, work: Round) -> Figures:
    """Run one round against a server that is not frozen.

    Raises:
        RuntimeError: When a request fails, with the client's words.
    """
    before = family.cpu()
    try:
        seen = run_client(work)
    except RuntimeError as error:
        raise RuntimeError(f"{error}\n{family.last_words()}") from None
    return figures(seen, used_since(before, family.cpu()))


def run_client(work: Round) -> dict[str, Any]:
    """Run one round in a process of its own, and return what it saw.

    Raises:
        RuntimeError: When a request fails, with the client's words.
    """
    command = [sys.executable, str(_CLIENT), json.dumps(asdict(work))]
    run = subprocess.run(command, capture_output=True, text=True, timeout=_CLIENT_SECONDS)
    if run.returncode:
        raise RuntimeError(run.stderr.strip())
    seen: dict[str, Any] = json.loads(run.stdout)
    return seen


def figures(seen: dict[str, Any], used: Mapping[str, float]) -> Figures:
    """Return the figures of a round.

    Args:
        seen: What the client saw.
        used: CPU seconds of the servers by role, as far as they are known.
    """
    streams, used = seen["streams"], {**used, "client": seen["cpu"]}
    tokens = sum(stream["tokens"] for stream in streams)
    firsts = [stream["first"] for stream in streams]
    gaps = [(s["last"] - s["first"]) / max(s["tokens"] - 1, 1) for s in streams]
    return Figures(
        throughput=tokens / seen["seconds"],
        first_p50=statistics.median(firsts),
        first_p95=percentile(firsts, 0.95),
        between_p50=statistics.median(gaps),
        cpu={role: seconds / tokens for role, seconds in used.items()},
        chunks=sum(stream["chunks"] for stream in streams) / tokens,
    )


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def turn(family: Family, work: Round) -> Figures:
    """Thaw a server, measure one round, freeze it again."""
    family.thaw()
    try:
        time.sleep(_SETTLE_SECONDS)
        return measure(family, work)
    finally:
        family.freeze()
