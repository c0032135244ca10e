"""Leader election between real processes at a real API server: hand-over, and never two writers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import wait_for
from tests.faulty_api import Answer, Fault, FaultyApi, Hang, LoseAnswer, Malformed, Refuse
from tests.integration.harness import ROOT
from tests.integration.lease_contender import LEASE, LOST, TIMING
from tests.variations import every

LEASE_PATH = f"/leases/{LEASE}"
WRITTEN = "/configmaps/written"
FAULTS = {
    "409": Answer(409),
    "410": Answer(410),
    "429": Answer(429, retry_after=1),
    "500": Answer(500),
    "half an object": Malformed(),
    "a lost answer": LoseAnswer(),
}
Process = subprocess.Popen[bytes]
Start = Callable[[str], Process]
Two = tuple[Process, Process]


@pytest.fixture
def start(faulty_api: FaultyApi, namespace: str) -> Iterator[Start]:
    """Start contenders by name; whatever still runs is killed in the end."""
    running: list[Process] = []
    path = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])

    def begin(name: str) -> Process:
        module = "tests.integration.lease_contender"
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(faulty_api.kubeconfig(name)), namespace, name],
            env={**os.environ, "PYTHONPATH": path},
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()


def writes(api: FaultyApi, name: str) -> int:
    return len(api.journal.writes(client=name, path=WRITTEN))


def renewals(api: FaultyApi, name: str) -> int:
    return len(api.journal.requests(client=name, method="PUT", path=LEASE_PATH, status=200))


def until_writing(api: FaultyApi, name: str, seconds: float = 60) -> float:
    """Wait until a contender writes on; return when that was."""
    before = writes(api, name)
    wait_for(f"{name} writes", lambda: writes(api, name) > before, seconds)
    return time.monotonic()


def until_waiting(api: FaultyApi, name: str) -> None:
    """Wait until a contender has looked at the lease twice: then it has seen who holds it."""

    def looks() -> int:
        return len(api.journal.requests(client=name, method="GET", path=LEASE_PATH))

    before = looks()
    wait_for(f"{name} waits", lambda: looks() >= before + 2, 60)


def assert_never_two(api: FaultyApi) -> None:
    turns = api.journal.turns(path=WRITTEN)
    assert all(begin > end for (_, _, end), (_, begin, _) in pairwise(turns)), turns


@pytest.fixture
def two(faulty_api: FaultyApi, start: Start) -> Two:
    """A leader "a" and "b", which waits."""
    a = start("a")
    until_writing(faulty_api, "a")
    b = start("b")
    until_waiting(faulty_api, "b")
    return a, b


def test_after_a_kill_the_other_writes_when_the_lease_has_run_out(
    faulty_api: FaultyApi, cluster: Cluster, namespace: str, two: Two
) -> None:
    two[0].kill()
    killed = time.monotonic()
    took = until_writing(faulty_api, "b") - killed
    assert took >= TIMING.lease_duration - 2 * TIMING.retry_period
    assert_never_two(faulty_api)
    lease = cluster.get("lease", LEASE, namespace)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "b"
    assert lease["spec"]["leaseTransitions"] == 1


def test_after_a_clean_end_the_other_writes_long_before_the_lease_would_run_out(
    faulty_api: FaultyApi, two: Two
) -> None:
    two[0].terminate()
    assert two[0].wait(30) == 0
    ended = time.monotonic()
    took = until_writing(faulty_api, "b") - ended
    assert took < TIMING.lease_duration - 2 * TIMING.retry_period
    assert_never_two(faulty_api)


def test_a_leader_that_was_stopped_past_its_lease_never_writes_again(
    faulty_api: FaultyApi, two: Two
) -> None:
    two[0].send_signal(signal.SIGSTOP)
    until_writing(faulty_api, "b")
    before = writes(faulty_api, "a")
    two[0].send_signal(signal.SIGCONT)
    assert two[0].wait(30) == LOST
    until_writing(faulty_api, "b")
    assert writes(faulty_api, "a") == before
    assert_never_two(faulty_api)


@pytest.mark.parametrize("fault", every(FAULTS, always=("409", "a lost answer")))
def test_a_renewal_that_goes_wrong_costs_no_lease(
    faulty_api: FaultyApi, two: Two, fault: str
) -> None:
    rule = faulty_api.inject(FAULTS[fault], client="a", path=LEASE_PATH, times=2)
    wait_for("two renewals went wrong", lambda: rule.hits == 2, 60)
    before = renewals(faulty_api, "a")
    wait_for("renewals go on", lambda: renewals(faulty_api, "a") > before + 3, 60)
    until_writing(faulty_api, "a")
    assert two[0].poll() is None
    assert writes(faulty_api, "b") == 0


@pytest.mark.parametrize("fault", [Hang(), Refuse(), Answer(500)], ids=["hangs", "away", "500"])
def test_a_leader_that_cannot_renew_ends_before_the_other_writes(
    faulty_api: FaultyApi, two: Two, fault: Fault
) -> None:
    faulty_api.inject(fault, client="a", path=LEASE_PATH, times=None)
    assert two[0].wait(60) == LOST
    until_writing(faulty_api, "b")
    assert_never_two(faulty_api)
