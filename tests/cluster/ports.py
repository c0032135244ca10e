"""Ports of pods: which listen, and which somebody's connections get through to."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.network.matrix import MODELS, NAME, NAMESPACES, SOURCES, SYSTEM
from tests.node.installation import operator_image

# Runs a command somewhere, and returns what it wrote.
Run = Callable[..., str]
_LISTENS = "0A"  # TCP_LISTEN of the kernel's include/net/tcp_states.h
_GONE = ("--ignore-not-found", "--wait=false")
# What a container runs whose process is to be short: prints those of the targets that are open.
_TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def is_open(target):
    try:
        socket.create_connection(target, 2).close()
    except OSError:
        return False
    return True

targets = [tuple(it) for it in json.loads(sys.argv[1])]
with ThreadPoolExecutor(64) as pool:
    print(json.dumps([it for it, found in zip(targets, pool.map(is_open, targets)) if found]))
"""


@dataclass(frozen=True)
class Target:
    """A pod that is connected to.

    Attributes:
        address: Its address.
        ports: The ports at which something in it listens for others than itself.
    """

    address: str
    ports: frozenset[int]


def target(cluster: Cluster, namespace: str, pod: str) -> Target:
    """Return a pod with what listens in it now."""
    found = cluster.get("pod", pod, namespace)
    assert found is not None
    tables = cluster.kubectl(
        *("exec", f"--namespace={namespace}", pod),
        *("--", "cat", "/proc/net/tcp", "/proc/net/tcp6"),
    )
    return Target(found["status"]["podIP"], frozenset(_listening(tables)))


def _listening(tables: str) -> Iterator[int]:
    """Yield the ports of ``/proc/net/tcp`` at which somebody from elsewhere may knock."""
    for line in tables.splitlines():
        _, local, _, state, *_ = line.split()
        if state == _LISTENS:
            address, _, port = local.partition(":")
            if not _address(address).is_loopback:
                yield int(port, 16)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address as the kernel shows it: words of the machine's byte order, in hex."""
    words = (bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8))
    packed = b"".join(int.from_bytes(word, sys.byteorder).to_bytes(4, "big") for word in words)
    found = ipaddress.ip_address(packed)
    return getattr(found, "ipv4_mapped", None) or found


def reached(run: Run, python: str, targets: Mapping[str, Target]) -> dict[str, set[int]]:
    """Return to which ports of each target connections get through.

    Args:
        run: Runs a command where the connections are to come from.
        python: The Python there.
        targets: The targets by name; all that listens in them is tried, at once.
    """
    pairs = [(it.address, port) for it in targets.values() for port in sorted(it.ports)]
    found = json.loads(run(python, "-c", _TRY, json.dumps(pairs)))
    return {
        name: {port for address, port in found if address == it.address}
        for name, it in targets.items()
    }


def run_here(*command: str) -> str:
    """Run a command on this machine, which is outside of the node."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Client:
    """A pod that connects to others.

    Attributes:
        cluster: Its cluster.
        namespace: Its namespace.
        name: Its name.
    """

    cluster: Cluster
    namespace: str
    name: str

    def run(self, *command: str) -> str:
        """Run a command in it, and return what it wrote."""
        words = ("exec", f"--namespace={self.namespace}", self.name, "--")
        return self.cluster.kubectl(*words, *command)

    def reached(self, targets: Mapping[str, Target]) -> dict[str, set[int]]:
        """Return to which ports of each target its connections get through."""
        return reached(self.run, "python", targets)


@contextmanager
def clients(cluster: Cluster, model: str, sources: Sequence[str]) -> Iterator[Mapping[str, Client]]:
    """Run a pod for each source, in namespaces that go with them.

    Args:
        cluster: A cluster with a model in the namespace ``MODELS``.
        model: The model's name.
        sources: Names of ``SOURCES``.
    """
    # those of the model and of the operator are there
    namespaces = sorted({SOURCES[it].namespace for it in sources} - {MODELS, SYSTEM})
    found = {
        source: Client(cluster, SOURCES[source].namespace, f"client-{number}")
        for number, source in enumerate(sources)
    }
    try:
        cluster.apply(*map(_namespace, namespaces))
        cluster.apply(*(_pod(it, source, model) for source, it in found.items()))
        for it in found.values():
            ready = ("--for=condition=Ready", "--timeout=90s")
            cluster.kubectl("wait", f"--namespace={it.namespace}", *ready, f"pod/{it.name}")
        yield found
    finally:
        for it in found.values():
            cluster.kubectl("delete", f"--namespace={it.namespace}", "pod", it.name, *_GONE)
        cluster.kubectl("delete", "namespace", *_GONE, *namespaces)


def _namespace(name: str) -> dict[str, Any]:
    labels = dict(NAMESPACES[name])
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _pod(client: Client, source: str, model: str) -> dict[str, Any]:
    labels = {
        key: model if value == NAME else value for key, value in SOURCES[source].labels.items()
    }
    # the operator's image has a Python, and a node has it
    container = {"name": "client", "image": operator_image(), "command": ["sleep", "infinity"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": client.name, "namespace": client.namespace, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
