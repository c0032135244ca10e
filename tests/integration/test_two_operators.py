"""Two whole operators at once: one leads and writes, whatever happens to it and to clocks."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.faulty_api import FaultyApi, Request
from tests.installation.kuberay import KubeRay
from tests.integration.models import Models, assert_no_bug
from tests.integration.operator import RACK, Operator, start_operator, until

NAME = "guard"
LEASE, OF_LEASE = "freehold-operator", "/leases/freehold-operator"
LEADS = "freehold_leader"


@pytest.fixture(scope="module", autouse=True)
def rack(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(RACK):
        yield


@dataclass(frozen=True)
class Two:
    """The operators "a", which leads, and "b", which stands by; and a model that serves."""

    api: FaultyApi
    models: Models
    a: Operator
    b: Operator

    def writes(self, client: str) -> list[Request]:
        """Return what an operator wrote beside the lease."""
        return [it for it in self.api.journal.writes(client=client) if OF_LEASE not in it.path]

    def set_clock_of_lease(self, time: str) -> None:
        """Write the times of the lease as a holder with another clock would."""
        spec = {"renewTime": time, "acquireTime": time}
        patch = json.dumps({"spec": spec})
        self.models.kubectl("patch", "lease", LEASE, "--type=merge", f"-p={patch}")

    def b_has_looked(self, times: int) -> None:
        """Wait until the one that stands by has looked at the lease so often again."""

        def looks() -> int:
            return len(self.api.journal.requests(client="b", method="GET", path=OF_LEASE))

        before = looks()
        until("b looks at the lease", lambda: looks() >= before + times)

    def assert_never_two_writers(self) -> None:
        turns = self.api.journal.turns(path=rf"^(?!.*{OF_LEASE}).*/{self.models.namespace}/")
        assert all(begin > end for (_, _, end), (_, begin, _) in pairwise(turns)), turns


@pytest.fixture
def two(
    cluster: Cluster, kuberay: KubeRay, faulty_api: FaultyApi, processes: Processes, namespace: str
) -> Two:
    arguments = (f"--namespace={namespace}", f"--lease-namespace={namespace}")

    def start(name: str) -> Operator:
        kubeconfig = faulty_api.kubeconfig(name)
        return start_operator(processes, kubeconfig, kuberay.environment, *arguments, name=name)

    found = Two(faulty_api, Models(cluster, namespace), start("a"), start("b"))
    found.models.apply(NAME)
    found.models.wait(NAME, "Ready", "True")
    assert (found.a.metric(LEADS), found.b.metric(LEADS)) == (1, 0)
    return found


def test_a_leader_that_was_frozen_past_its_lease_writes_no_more(two: Two) -> None:
    two.a.server.send(signal.SIGSTOP)
    # work that both would do
    two.models.kubectl("scale", "fmd", NAME, "--replicas=2")
    two.models.kubectl("delete", "service", NAME, "--wait=false")
    until("b leads", lambda: two.b.metric(LEADS) == 1)
    two.models.wait(NAME, "Scaled", "True")
    before = two.writes("a")
    two.a.server.send(signal.SIGCONT)
    assert two.a.server.process is not None
    assert two.a.server.process.wait(60) == 1
    two.models.kubectl("scale", "fmd", NAME, "--replicas=1")
    until("b goes on", lambda: bounds(two.models) == 1)
    assert two.writes("a") == before
    assert_no_bug(two.b)
    two.assert_never_two_writers()
    assert two.models.owned(NAME).keys() == KINDS


KINDS = {"ConfigMap", "ControllerRevision", "RayCluster", "RayService", "Secret", "Service"}


def bounds(models: Models) -> int:
    (live,) = models.owned(NAME)["RayCluster"]["spec"]["workerGroupSpecs"]
    return int(live["minReplicas"])


@pytest.mark.thorough
def test_the_clock_of_another_hands_nothing_over_and_keeps_nothing_back(two: Two) -> None:
    """A lease of a holder far in the past is not free, and one far in the future is not eternal."""
    two.set_clock_of_lease("2001-01-01T00:00:00.000000Z")
    two.b_has_looked(2)
    assert (two.a.metric(LEADS), two.b.metric(LEADS)) == (1, 0)
    assert two.writes("b") == []
    two.a.server.stop(signal.SIGKILL)
    two.set_clock_of_lease("2199-01-01T00:00:00.000000Z")
    two.models.kubectl("scale", "fmd", NAME, "--replicas=2")
    until("b leads", lambda: two.b.metric(LEADS) == 1)
    until("b goes on", lambda: bounds(two.models) == 2)
    two.assert_never_two_writers()
    # the new leader writes by its own clock again
    lease = two.models.cluster.get("lease", LEASE, two.models.namespace)
    assert lease is not None
    assert "2001" < lease["spec"]["renewTime"] < "2199"
    assert lease["spec"]["holderIdentity"] != ""
