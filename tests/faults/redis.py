"""A Redis beside a real node, for clusters that keep their state in one."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.control_plane.processes import Processes
from tests.node.machine import HOST_ADDRESS, NodeUnfit

ADDRESS, PORT = HOST_ADDRESS, 6379
SECRET, ENTRY, PASSWORD = "redis", "password", "of-the-redis-of-a-test"
_PROGRAM = "redis-server"
# Of the operator's chart.
VALUES = {
    "gcsFaultTolerance": {
        "redisAddress": f"{ADDRESS}:{PORT}",
        "passwordSecret": {"name": SECRET, "key": ENTRY},
    }
}


@contextmanager
def redis(processes: Processes) -> Iterator[None]:
    """Run a Redis with a password at this end of the cable, where pods reach it; once for a node.

    Raises:
        NodeUnfit: The program is missing.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        raise NodeUnfit(f"a Redis is to run beside the node: apt-get install {_PROGRAM}")
    folder = processes.folder / "redis-data"
    folder.mkdir()
    kept = ("--save", "", "--appendonly", "no", "--dir", folder)
    place = ("--bind", ADDRESS, "--port", str(PORT), "--requirepass", PASSWORD)
    server = processes.start("redis", [program, *place, *kept])
    server.ready_when(_listens)
    try:
        yield
    finally:
        server.stop()


def _listens() -> bool:
    with suppress(OSError), socket.create_connection((ADDRESS, PORT), timeout=1):
        return True
    return False
