"""A client that wants one token, and asks until it has it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.path_bench.client import PROMPT

_CONNECT_SECONDS = 1.0
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Endpoint:
    """Where a model answers.

    Attributes:
        host: An address that this machine reaches.
        port: The port.
        model: Served name.
        key: Key that requests bear; "" for none.
    """

    host: str
    port: int
    model: str
    key: str = ""

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{self.host}:{self.port}"


def until_token(find: Callable[[], Endpoint | None], seconds: float) -> int:
    """Ask for a token until there is one; returns how many requests that took.

    Each request waits for its answer, however long; the next one follows soon after a refusal.

    Args:
        find: Returns the endpoint, None as long as it has no address.
        seconds: How long to ask at most.

    Raises:
        TimeoutError: There is no token in time; says what came instead.
    """
    end, asked, found = time.monotonic() + seconds, 0, "it has no address"
    while (left := end - time.monotonic()) > 0:
        if (endpoint := find()) is not None:
            asked += 1
            found = ask(endpoint, left)
            if not found:
                return asked
        time.sleep(_PAUSE_SECONDS)
    raise TimeoutError(f"no token within {seconds:g} s and {asked} requests: {found}")


def ask(endpoint: Endpoint, seconds: float) -> str:
    """Ask for one token; returns "" when it came, else what came instead.

    Args:
        endpoint: Whom.
        seconds: How long to wait for the answer.
    """
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(seconds)
        return _answer(connection, endpoint)
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()


def _answer(connection: http.client.HTTPConnection, endpoint: Endpoint) -> str:
    body = {"model": endpoint.model, "prompt": PROMPT, "max_tokens": 1, "temperature": 0}
    headers = {"Content-Type": "application/json"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    connection.request("POST", "/v1/completions", json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    if answer.status == 200 and json.loads(text)["usage"]["completion_tokens"] == 1:
        return ""
    return f"{answer.status} {text[:200]}"
