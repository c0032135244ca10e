"""Stopping all processes of pods, so that others have the cores, and starting them again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import wait_for
from tests.node.agents import NODE
from tests.node.installation import Installation

_CGROUPS = Path("/sys/fs/cgroup")
_LEASE_SECONDS = 60.0


def pods_group(name: str, top: Path = _CGROUPS) -> Path:
    """Return the cgroup of all pods of a node, by the name of the node's own.

    Raises:
        FileNotFoundError: There is none, of neither version.
    """
    # of version 1 each controller has all groups
    for folder in (top / name / "kubepods", top / "pids" / name / "kubepods"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no cgroup of the pods of {name} below {top}")


def processes(group: Path, uids: Iterable[str]) -> set[int]:
    """Return the ids of all processes of pods, by the pods' uids."""
    found: set[int] = set()
    for uid in uids:
        for file in group.glob(f"**/pod{uid}/**/cgroup.procs"):
            # of a container that ends meanwhile
            with suppress(FileNotFoundError):
                found.update(map(int, file.read_text().split()))
    return found


@contextmanager
def stopped(group: Path, uids: Iterable[str]) -> Iterator[None]:
    """Inside, no process of these pods runs; they keep their memory and connections."""
    known, stood = list(uids), set[int]()
    try:
        # until none is left that was started while others were stopped
        while new := processes(group, known) - stood:
            _send(new, signal.SIGSTOP)
            stood |= new
        yield
    finally:
        _send(stood, signal.SIGCONT)


@contextmanager
def unwatched(installation: Installation, *, kuberay: bool) -> Iterator[None]:
    """Inside, no probe of the kubelet's finds a pod that stands still; it goes on as the last.

    Args:
        installation: The node.
        kuberay: Whether KubeRay, which would take such a head from its Services, is stopped too.
    """
    servers = [installation.node.plane.servers["kubelet"]]
    servers += [installation.kuberay] if kuberay else []
    try:
        for server in servers:
            server.send(signal.SIGSTOP)
        yield
    finally:
        for server in reversed(servers):
            server.send(signal.SIGCONT)


def wait_for_kubelet(cluster: Cluster) -> None:
    """Wait until the node has said again that it lives: stopped too often, it would count as gone.

    Raises:
        TimeoutError: It does not.
    """
    now = datetime.now(UTC)

    def renewed() -> bool:
        lease = cluster.get("lease", NODE, "kube-node-lease")
        return lease is not None and datetime.fromisoformat(lease["spec"]["renewTime"]) > now

    wait_for("the node renews its lease", renewed, _LEASE_SECONDS, every=0.25)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
