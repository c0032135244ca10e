"""HTTP servers on this machine that answer from a script."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeServer:
    """A server that gives each path one answer.

    Attributes:
        answers: Status and body by method and path; anything else is 404.
        requests: What came so far.
        silent: Set when hanging requests may end; None to answer at once.
        url: Where it listens.
    """

    answers: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    silent: threading.Event | None = None
    url: str = ""

    def status(self, request: Request) -> tuple[int, str]:
        """Return the answer to a request."""
        return self.answers.get((request.method, request.path), (404, "not found"))


@contextmanager
def listening(fake: FakeServer) -> Iterator[FakeServer]:
    """Run the fake until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            fake.requests.append(request)
            if fake.silent is not None:
                fake.silent.wait(10)
                return
            status, text = fake.status(request)
            body = text.encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = _answer

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        if fake.silent is not None:
            fake.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()
