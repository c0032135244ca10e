"""A hub on this machine that answers as the Hugging Face hub does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """One repository, its files, and what the hub holds against its visitor.

    Attributes:
        repository: The only repository id.
        commit: What its branch and its tag mean now.
        files: Content by file name.
        refuses: Status and X-Error-Code for every request; None to serve.
        silent: Never to answer.
        token: The token that alone may read; None to let everybody.
        requests: Method and path of each request so far.
    """

    repository: str = "acme/tiny"
    commit: str = COMMIT
    files: dict[str, bytes] = field(default_factory=dict)
    refuses: tuple[int, str] | None = None
    silent: threading.Event | None = None
    token: str | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def put(self, name: str, value: Any) -> None:
        """Store a file; anything but bytes is written as JSON."""
        self.files[name] = value if isinstance(value, bytes) else json.dumps(value).encode()

    @contextmanager
    def running(self, host: str = "127.0.0.1") -> Iterator[FakeHub]:
        """Serve on a free port of an address of this machine until the end of the block."""
        server = ThreadingHTTPServer((host, 0), _handler(self))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.url = f"http://{host}:{server.server_port}"
        try:
            yield self
        finally:
            if self.silent is not None:
                self.silent.set()
            server.shutdown()
            server.server_close()

    def answer(self, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of a GET of ``path``."""
        if self.refuses is not None:
            return self.refuses[0], {"X-Error-Code": self.refuses[1]}, b""
        if self.token is not None and token != f"Bearer {self.token}":
            return 401, {"X-Error-Code": "GatedRepo"}, b""
        api = f"/api/models/{self.repository}"
        if path == api or path.startswith(f"{api}/revision/"):
            siblings = [{"rfilename": n, "size": len(b)} for n, b in self.files.items()]
            info = {"id": self.repository, "sha": self.commit, "siblings": siblings}
            return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()
        if path.startswith(f"{api}/tree/"):
            return self._tree(path.removeprefix(f"{api}/tree/"))
        start = f"/{self.repository}/resolve/"
        if not path.startswith(start):
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        revision, _, name = path.removeprefix(start).partition("/")
        if revision not in ("main", "v1", self.commit):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        body = self.files.get(name)
        if body is None:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit}, b""
        return 200, {"X-Repo-Commit": self.commit, "ETag": f'"{_oid(body)}"'}, body

    def _tree(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """List the files of a revision, or of a folder in it."""
        _, _, folder = path.partition("/")
        inside = f"{folder}/" if folder else ""
        found = {n: b for n, b in self.files.items() if n.startswith(inside)}
        if not found:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit}, b""
        listed = [
            {"type": "file", "oid": _oid(b), "size": len(b), "path": n} for n, b in found.items()
        ]
        return 200, {"Content-Type": "application/json"}, json.dumps(listed).encode()


def _oid(body: bytes) -> str:
    return hashlib.sha1(body, usedforsecurity=False).hexdigest()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _reply(self, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.requests.append((self.command, path))
            if hub.silent is not None:
                hub.silent.wait(30)
                return
            status, headers, body = hub.answer(path, self.headers.get("Authorization", ""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def do_GET(self) -> None:
            self._reply(with_body=True)

        def do_HEAD(self) -> None:
            self._reply(with_body=False)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler
