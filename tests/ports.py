"""Ports for the servers of tests, that nobody else gets between their choice and their use."""

from __future__ import annotations

import random
import socket

# Below what the kernel hands out by itself (32768 and up, see ip_local_port_range), so that no
# outgoing connection has one, and below what `freehold run` takes for its Ray.
_RANGE = range(11000, 14000)

# Names of sockets that are no files, one for each port that this process has given out; they go
# with the process, however it ends.
_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a port of this machine that nobody listens at, and no other process of tests gets.

    Raises:
        OSError: There is none.
    """
    for port in random.sample(_RANGE, len(_RANGE)):
        if _claimed(port) and _unused(port):
            return port
    raise OSError(f"no port from {_RANGE.start} to {_RANGE.stop - 1} is free")


def _claimed(port: int) -> bool:
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0freehold-tests-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _unused(port: int) -> bool:
    # for all addresses of both families, as servers listen that are not told one
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind(("::", port))
        except OSError:
            return False
    return True
