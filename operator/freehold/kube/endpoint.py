"""What only the model's own cluster can tell: whether its engines answer, and how many there are.

A proxy that the environment names is used, as every Kubernetes client does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from freehold.kube.fence import seconds_to_write

# The first request compiles kernels; on a busy machine that has taken more than a minute.
_ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=300, connect=10)
# Ray's dashboard answers at once or is not there yet; a pass waits for it.
_DETAILS_TIMEOUT = aiohttp.ClientTimeout(total=3, connect=2)
# Where its Serve has ended, Ray starts it first.
_DECLARE_S = 10.0
# A dashboard that keeps passes waiting for nothing is left alone, since others wait meanwhile:
# after the second time in a row for so long, and then twice as long each time.
_SLOW_S, _SLOWEST_S, _FORGOTTEN_S = 10.0, 60.0, 600.0
_TOLD = 300
# Bytes of an answer: of a token or a line, and of all that Serve says of an application.
_SHORT, _LONG = 64 << 10, 8 << 20


class _TooLong(aiohttp.ClientError):
    """An answer is longer than any honest one."""


@dataclass(slots=True)
class _Slow:
    """Hosts that did not answer in time: how often in a row, and until when they are not asked."""

    hosts: dict[str, tuple[int, float]] = field(default_factory=dict)

    def __contains__(self, host: str) -> bool:
        _, until = self.hosts.get(host, (0, 0.0))
        return until > asyncio.get_running_loop().time()

    def add(self, host: str) -> None:
        times = self.hosts.get(host, (0, 0.0))[0] + 1
        pause = 0.0 if times == 1 else min(_SLOWEST_S, _SLOW_S * 2.0 ** min(times - 2, 10))
        now = asyncio.get_running_loop().time()
        # those that nobody asks any more are gone
        self.hosts = {at: it for at, it in self.hosts.items() if it[1] > now - _FORGOTTEN_S}
        self.hosts[host] = times, now + pause

    def discard(self, host: str) -> None:
        self.hosts.pop(host, None)


class ModelEndpoints:
    """Asks models and their Ray clusters over HTTP.

    What answers is whatever the model's author runs: it is not followed elsewhere, leaves nothing
    behind for the next one, and no more of it is read than an honest one would say.
    """

    def __init__(self, lease_seconds: Callable[[], float] | None = None) -> None:
        """Open no connection yet; use it as an asynchronous context manager.

        Args:
            lease_seconds: For how long this process surely still leads; None to write always.
        """
        self._lease_seconds = lease_seconds
        # without a limit: what waits for an engine that compiles would hold up all the others
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=True,
        )
        self._slow = _Slow()

    async def __aenter__(self) -> ModelEndpoints:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self._session.close()

    async def answers(self, base_url: str, model: str, api_key: str) -> str:
        """Ask for one token.

        Args:
            base_url: The model's OpenAI base URL.
            model: Its served name.
            api_key: A key of its endpoint; one that asks for none takes no notice.

        Returns:
            "" when a token came, else what came instead.
        """
        url = f"{base_url}/completions"
        body = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
        given = {"json": body, "headers": _bearer(api_key), "timeout": _ANSWER_TIMEOUT}
        try:
            status, said = await self._ask("POST", url, _SHORT, **given)
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"no answer from {url}: {str(error) or type(error).__name__}"
        text = said.decode(errors="replace").strip()[:_TOLD]
        if status != 200:
            return f"{url} answered {status}: {text}"
        return "" if b'"choices"' in said else f"{url} answered without a choice: {text}"

    async def serve_details(
        self, head: str, namespace: str, token: str
    ) -> Mapping[str, Any] | None:
        """Return what Serve says of its applications, or None where it does not answer.

        Args:
            head: Name of the head's Service.
            namespace: Its namespace.
            token: Ray's token.
        """
        url = _applications(head, namespace)
        try:
            found = json.loads(await self._dashboard_says(url, token, _LONG))
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    async def last_line(self, head: str, namespace: str, token: str, node: str, log: str) -> str:
        """Return the last line of a log of Ray's; "" where it cannot be had.

        Args:
            head: Name of the head's Service.
            namespace: Its namespace.
            token: Ray's token.
            node: Ray's id of the node on which the log lies.
            log: Its path in the node's folder of logs.
        """
        url = f"{_dashboard(head, namespace)}/api/v0/logs/file"
        which = {"node_id": node, "filename": log, "lines": "1", "timeout": "2"}
        said = await self._dashboard_says(url, token, _SHORT, params=which)
        return said.decode(errors="replace").strip()

    async def declare(
        self, head: str, namespace: str, token: str, config: Mapping[str, Any]
    ) -> bool:
        """Give Serve a config, as KubeRay does; return whether it was taken.

        Args:
            head: Name of the head's Service.
            namespace: Its namespace.
            token: Ray's token.
            config: The Serve config; applications that it does not list end.

        Raises:
            NotLeading: This process does not hold the lease; nothing was sent.
        """
        url = _applications(head, namespace)
        given = {"json": config, "headers": _bearer(token), "timeout": self._while_leading()}
        try:
            status, _ = await self._ask("PUT", url, _SHORT, **given)
        except (aiohttp.ClientError, TimeoutError):
            return False
        return status == 200

    def _while_leading(self) -> aiohttp.ClientTimeout:
        """Return how long Serve may take: no write outlives the lease."""
        seconds = seconds_to_write(_DECLARE_S, self._lease_seconds)
        return aiohttp.ClientTimeout(total=seconds, connect=2)

    async def _dashboard_says(self, url: str, token: str, most: int, **given: Any) -> bytes:
        """Return what a dashboard answers; b"" where it does not, or not soon enough."""
        host = urlsplit(url).netloc
        if host in self._slow:
            return b""
        given |= {"headers": _bearer(token), "timeout": _DETAILS_TIMEOUT}
        try:
            status, said = await self._ask("GET", url, most, **given)
        except TimeoutError:
            self._slow.add(host)
            return b""
        except aiohttp.ClientError:
            status, said = 0, b""
        self._slow.discard(host)
        return said if status == 200 else b""

    async def _ask(self, method: str, url: str, most: int, **given: Any) -> tuple[int, bytes]:
        """Return the status and the body of an answer, of so many bytes at most.

        Raises:
            aiohttp.ClientError: Nobody answers, or says too much.
            TimeoutError: Nothing came in time.
        """
        said = bytearray()
        async with self._session.request(method, url, allow_redirects=False, **given) as answer:
            async for part in answer.content.iter_any():
                said += part
                if len(said) > most:
                    raise _TooLong(f"an answer of more than {most} bytes")
        return answer.status, bytes(said)


def _applications(head: str, namespace: str) -> str:
    return f"{_dashboard(head, namespace)}/api/serve/applications/"


def _dashboard(head: str, namespace: str) -> str:
    return f"http://{head}.{namespace}.svc:8265"


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
