"""Runs the gateway: a folder's subfolders are buckets, the files below are objects."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.control_plane import build
from tests.control_plane.pinned import module_of, tool
from tests.ports import free_port

_SECONDS = 20.0


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        url: Its endpoint.
        folder: Its buckets.
        key: The only access key.
        secret: Its secret.
    """

    url: str
    folder: Path
    key: str = "the-key"
    secret: str = "the-secret-of-it"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that a Secret for it would hold."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def running_s3(folder: Path, host: str = "127.0.0.1") -> Iterator[S3Server]:
    """Serve a folder on a free port of an address of this machine until the end of the block."""
    build.ensure([module_of("versitygw")])
    port = free_port()
    server = S3Server(f"http://{host}:{port}", folder)
    command = [tool("versitygw"), "--quiet", "--port", f"{host}:{port}", "posix", "--nometa"]
    keys = {"ROOT_ACCESS_KEY": server.key, "ROOT_SECRET_KEY": server.secret}
    with subprocess.Popen([*command, folder], env=keys, stdout=subprocess.DEVNULL) as process:
        try:
            _await(server, process)
            yield server
        finally:
            process.terminate()


def _await(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    """Return once it answers, be it with a refusal."""
    until = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            httpx.get(server.url, timeout=1.0)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the S3 server does not answer at {server.url}")
