"""What only the model's own cluster can tell: whether its engines answer, and how many there are.

A proxy that the environment names is used, as every Kubernetes client does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

# The first request compiles kernels; on a busy machine that has taken more than a minute.
_ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=300, connect=10)
# Ray's dashboard answers at once or is not there yet; a pass waits for it.
_DETAILS_TIMEOUT = aiohttp.ClientTimeout(total=3, connect=2)
# Where its Serve has ended, Ray starts it first.
_DECLARE_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)
_TOLD = 300


class ModelEndpoints:
    """Asks models and their Ray clusters over HTTP."""

    def __init__(self) -> None:
        """Open no connection yet; use it as an asynchronous context manager."""
        self._session = aiohttp.ClientSession(trust_env=True)

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
        body = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
        url = f"{base_url}/completions"
        try:
            asking = self._session.post(
                url, json=body, headers=_bearer(api_key), timeout=_ANSWER_TIMEOUT
            )
            async with asking as answer:
                text = await answer.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"no answer from {url}: {str(error) or type(error).__name__}"
        if answer.status != 200:
            return f"{url} answered {answer.status}: {text.strip()[:_TOLD]}"
        return "" if '"choices"' in text else f"{url} answered without a choice: {text[:_TOLD]}"

    async def serve_details(
        self, head: str, namespace: str, token: str
    ) -> Mapping[str, Any] | None:
        """Return what Serve says of its applications, or None where it does not answer.

        Args:
            head: Name of the head's Service.
            namespace: Its namespace.
            token: Ray's token.
        """
        url, headers = _applications(head, namespace), _bearer(token)
        asking = self._session.get(url, headers=headers, timeout=_DETAILS_TIMEOUT)
        try:
            async with asking as answer:
                found = await answer.json() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
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
        url, headers = f"{_dashboard(head, namespace)}/api/v0/logs/file", _bearer(token)
        which = {"node_id": node, "filename": log, "lines": "1", "timeout": "2"}
        asking = self._session.get(url, params=which, headers=headers, timeout=_DETAILS_TIMEOUT)
        try:
            async with asking as answer:
                found = await answer.text(errors="replace") if answer.status == 200 else ""
        except (aiohttp.ClientError, TimeoutError):
            return ""
        return found.strip()

    async def declare(
        self, head: str, namespace: str, token: str, config: Mapping[str, Any]
    ) -> bool:
        """Give Serve a config, as KubeRay does; return whether it was taken.

        Args:
            head: Name of the head's Service.
            namespace: Its namespace.
            token: Ray's token.
            config: The Serve config; applications that it does not list end.
        """
        url, headers = _applications(head, namespace), _bearer(token)
        asking = self._session.put(url, json=config, headers=headers, timeout=_DECLARE_TIMEOUT)
        try:
            async with asking as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


def _applications(head: str, namespace: str) -> str:
    return f"{_dashboard(head, namespace)}/api/serve/applications/"


def _dashboard(head: str, namespace: str) -> str:
    return f"http://{head}.{namespace}.svc:8265"


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
