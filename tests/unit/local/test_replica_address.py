"""A replica's own server, found by the process that it runs in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from freehold.local.replica_address import REPLICA_PORTS, own_address


def listen_among(ports: range) -> socket.socket:
    for port in ports:
        server = socket.socket()
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            server.close()
            continue
        server.listen()
        return server
    raise AssertionError("no port of the range is free")


def test_the_port_of_rays_range_is_it_and_no_other() -> None:
    with listen_among(range(50000, 60000)):
        assert own_address(os.getpid()) is None
        with listen_among(REPLICA_PORTS) as server:
            port = server.getsockname()[1]
            assert own_address(os.getpid()) == f"http://127.0.0.1:{port}"


def test_a_connection_from_such_a_port_is_no_server() -> None:
    with listen_among(range(50000, 60000)) as server, socket.socket() as client:
        with listen_among(REPLICA_PORTS) as reserved:
            port = reserved.getsockname()[1]
        client.bind(("127.0.0.1", port))
        client.connect(server.getsockname())
        assert own_address(os.getpid()) is None


def test_a_process_that_has_ended_has_none() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert own_address(done.pid) is None
