"""What the integration tests share beside their fixtures."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import MARKER, Processes

ROOT = Path(__file__).parents[2]
KUBECONFIG = "FREEHOLD_TEST_KUBECONFIG"


def objects_list(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return objects as a text that ``kubectl --filename -`` takes."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


@contextmanager
def fresh_namespace(cluster: Cluster) -> Iterator[str]:
    """Make a namespace; it is deleted in the end, and nodes are free of its pods then."""
    name = f"test-{secrets.token_hex(4)}"
    with cluster.namespace(name):
        yield name


@contextmanager
def telling_processes() -> Iterator[Processes]:
    """Begin with no process; in the end the last lines of each are written for a failed test."""
    with Processes.begin("freehold-test-") as found:
        yield found
        for server in found.servers.values():
            sys.stdout.write(f"{server.tail}\n")


def processes_of(folder: Path) -> list[str]:
    """Return what runs with the marker of one control plane."""
    return processes_with(MARKER, str(folder))


def processes_with(variable: str, value: str) -> list[str]:
    """Return the names of the processes whose environment has a variable with a value."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value:
                found.append(process.name())
        except (psutil.Error, OSError):
            continue
    return sorted(found)


class Kubectl(Protocol):
    """Runs ``kubectl`` in the test's namespace and returns its standard output."""

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> str: ...
