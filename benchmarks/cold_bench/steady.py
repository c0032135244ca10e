"""Freehold and ``vllm serve`` under the same load, in turns, both in pods all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from benchmarks.cold_bench.asking import Endpoint, until_token
from benchmarks.cold_bench.results import FREEHOLD, REST, Turn
from benchmarks.cold_bench.standing_still import (
    pods_group,
    processes,
    stopped,
    unwatched,
    wait_for_kubelet,
)
from benchmarks.cold_bench.starts import START_SECONDS, telling
from benchmarks.cold_bench.subjects import Deployed, Subject
from path_bench.client import Round
from path_bench.roles import used_by, used_since
from path_bench.rounds import figures, run_client
from tests.node.installation import Installation

# Streams, requests in all and tokens of each: some ten seconds on two cores. A node whose kubelet
# stands still for forty counts as gone.
CELLS = ((1, 3, 64), (16, 32, 64))
_ANSWER_SECONDS = 15.0


@dataclass(frozen=True)
class Pair:
    """Two ways that both answer.

    Attributes:
        installation: The node.
        vllm: The one without probes, which may stand still while the other starts.
        freehold: The other.
    """

    installation: Installation
    vllm: Deployed
    freehold: Deployed

    @classmethod
    @contextmanager
    def up(cls, installation: Installation, vllm: Subject, freehold: Subject) -> Iterator[Pair]:
        """Bring up one after the other, each with the cores for itself, and both warm."""
        cluster = installation.cluster
        with (
            Deployed.ready_for(cluster, vllm) as first,
            Deployed.ready_for(cluster, freehold) as second,
        ):
            found = cls(installation, first, second)
            found._warm_up(first)
            with found._stopped(first):
                found._warm_up(second)
            yield found

    def turns(self, number: int, keep: Callable[[Turn], None]) -> None:
        """Measure a round: each with each number of streams, in an order that changes.

        Args:
            number: The round, from 0.
            keep: Is told each turn.
        """
        order = [self.freehold, self.vllm][:: 1 if number % 2 else -1]
        for cell in CELLS:
            for one in order:
                keep(self._turn(one, number, cell))

    def _turn(self, one: Deployed, number: int, cell: tuple[int, int, int]) -> Turn:
        other = self.vllm if one is self.freehold else self.freehold
        with (
            unwatched(self.installation, kuberay=other.subject.way == FREEHOLD),
            self._stopped(other),
        ):
            until_token(one.endpoint, _ANSWER_SECONDS)
            found = _measured(one, self._pods_group, number, cell)
        wait_for_kubelet(self.installation.cluster)
        return found

    def _warm_up(self, one: Deployed) -> None:
        with telling(one):
            one.apply(1)
            until_token(one.endpoint, START_SECONDS)
        for cell in CELLS:
            _measured(one, self._pods_group, 0, cell)

    @property
    def _pods_group(self) -> Path:
        return pods_group(self.installation.node.machine.cgroup.strip("/"))

    @contextmanager
    def _stopped(self, one: Deployed) -> Iterator[None]:
        with stopped(self._pods_group, one.uids()):
            yield


def _measured(one: Deployed, group: Path, number: int, cell: tuple[int, int, int]) -> Turn:
    endpoint = one.endpoint()
    assert isinstance(endpoint, Endpoint)
    members = [psutil.Process(pid) for pid in processes(group, one.uids())]
    before, busy = used_by(members), _busy()
    seen = run_client(Round(endpoint.url, endpoint.model, *cell, endpoint.key))
    used = used_since(before, used_by(members))
    rest = _busy() - busy - sum(used.values()) - seen["cpu"]
    found = figures(seen, {**used, REST: rest})
    return Turn(
        way=one.subject.way,
        round=number,
        streams=cell[0],
        throughput=found.throughput,
        first_p50=found.first_p50,
        first_p95=found.first_p95,
        between_p50=found.between_p50,
        cpu=found.cpu,
    )


def _busy() -> float:
    """Return the CPU seconds that this machine has worked since it was started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
