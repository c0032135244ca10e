"""Where a replica on this machine listens itself, behind the endpoint that all of them share.

Serve's REST API does not tell it, but it tells the replica's process.
"""

from __future__ import annotations

import psutil

from freehold.local.machine import LOOPBACK

# Defaults of Ray's RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT and ..._MAX_HTTP_PORT.
REPLICA_PORTS = range(30000, 31001)


def own_address(pid: int) -> str | None:
    """Return the base URL of a replica's own server; None when that process has none here."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port in REPLICA_PORTS:
            return f"http://{LOOPBACK}:{connection.laddr.port}"
    return None
