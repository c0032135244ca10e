"""A client asks until it has a token, and counts what it asked in vain."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from benchmarks.cold_bench.asking import Endpoint, ask, until_token
from tests.ports import free_port

KEY = "a-key"


class _Waking(BaseHTTPRequestHandler):
    """Refuses once, then gives a token to whoever bears the key."""

    refusals: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status = 200 if self.headers["Authorization"] == f"Bearer {KEY}" else 401
        if self.refusals:
            status = self.refusals.pop()
        body = json.dumps({"usage": {"completion_tokens": 1}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: Any) -> None:
        return None


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Waking) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_it_asks_again_until_there_is_a_token(port: int) -> None:
    _Waking.refusals[:] = [503, 404]
    known = iter([None, None])
    endpoint = Endpoint("127.0.0.1", port, "chat", KEY)
    assert until_token(lambda: next(known, endpoint), 30.0) == 3


def test_it_says_what_came_instead(port: int) -> None:
    assert ask(Endpoint("127.0.0.1", port, "chat"), 5.0).startswith("401 ")
    assert "refused" in ask(Endpoint("127.0.0.1", free_port(), "chat"), 5.0)
    with pytest.raises(TimeoutError, match="has no address"):
        until_token(lambda: None, 0.0)
