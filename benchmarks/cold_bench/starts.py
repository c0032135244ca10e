"""One start: from an apply with a replica, or from zero with a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psutil
from benchmarks.cold_bench.asking import until_token
from benchmarks.cold_bench.results import ColdStart, What
from benchmarks.cold_bench.subjects import Deployed
from benchmarks.cold_bench.watched import OF_A_WAKE, watching
from tests.control_plane.processes import wait_for

# Longer than any start that is worth a figure.
START_SECONDS = 900.0
# What ends or has just started takes from what starts: so half of the cores' time is to be free
# over some seconds first.
_REST_PERCENT, _LOOK_SECONDS, _REST_SECONDS = 50.0, 5.0, 300.0


def start(deployed: Deployed, what: What, number: int) -> ColdStart:
    """Measure a start of what is not there yet.

    Args:
        deployed: The way to serve.
        what: From what it starts.
        number: The round.

    Raises:
        TimeoutError: It does not get where it should; tells what there is of it.
    """
    with telling(deployed):
        return (_applied if what == "apply" else _woken)(deployed, number)


@contextmanager
def telling(deployed: Deployed) -> Iterator[None]:
    """Have an error of what takes too long inside tell what there is and what happened."""
    try:
        yield
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n{deployed.told()}") from error


def _applied(deployed: Deployed, number: int) -> ColdStart:
    _rest()
    subject = deployed.subject
    with watching(deployed, subject.workers, subject.parts) as found:
        deployed.apply(1)
        asked = until_token(deployed.endpoint, START_SECONDS)
        found.end()
    return ColdStart(subject.way, "apply", number, found.moments, asked)


def _woken(deployed: Deployed, number: int) -> ColdStart:
    """Have it begin at zero, so that nothing of how it gets there is in what is measured."""
    subject = deployed.subject
    deployed.apply(0)
    wait_for(f"{subject.way} is up at zero replicas", deployed.at_zero, START_SECONDS, every=1.0)
    wait_for("it has an address", deployed.endpoint, _REST_SECONDS)
    _rest()
    with watching(deployed, subject.workers, OF_A_WAKE) as found:
        deployed.scale_up()
        asked = until_token(deployed.endpoint, START_SECONDS)
        found.end()
    return ColdStart(subject.way, "wake", number, found.moments, asked)


def _rest() -> None:
    """Wait until nothing takes the cores any more."""
    busy = partial(psutil.cpu_percent, _LOOK_SECONDS)
    wait_for("the machine rests", lambda: busy() < _REST_PERCENT, _REST_SECONDS)
