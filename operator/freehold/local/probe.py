"""One real one-token request: the only proof that an engine answers.

Serve calls an application RUNNING while every request fails, when the engine behind it has died
or its first kernel does not compile.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import httpx

# The first request compiles kernels; on a busy machine that has taken more than a minute.
TIMEOUT_SECONDS = 300.0
# What the way to the engine answers while it has not heard of it, or of a place in its queue.
_PASSING = ("HTTP 404", "HTTP 429", "HTTP 503", "no connection")
_GRACE_SECONDS = 60.0
_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class _Call:
    """One probe on its way; ``answer`` is None until it is back."""

    answer: str | None = None


class BackgroundProbe:
    """Asks for a token without keeping anybody waiting.

    The thread is a daemon: an engine that never answers must not keep the program from ending.
    """

    def __init__(self, api_key: str | None = None) -> None:
        """Begin with nothing asked.

        Args:
            api_key: What the endpoints ask for; None for nothing.
        """
        self._api_key = api_key
        self._calls: dict[str, _Call] = {}

    def __call__(self, base_url: str, model: str) -> str | None:
        """Return what the probe of this model found, or None while it is on its way.

        The first call sends it; the one that returns its answer forgets it.
        """
        call = self._calls.get(base_url)
        if call is None:
            call = self._calls[base_url] = _Call()
            arguments = (call, base_url, model, self._api_key)
            threading.Thread(target=_ask_until_final, args=arguments, daemon=True).start()
        if call.answer is not None:
            del self._calls[base_url]
        return call.answer


def _ask_until_final(call: _Call, base_url: str, model: str, api_key: str | None) -> None:
    """Ask until the engine has answered, or the way to it has had time to open."""
    end = time.monotonic() + _GRACE_SECONDS
    while True:
        found = _asked(base_url, model, api_key)
        if not found.startswith(_PASSING) or time.monotonic() > end:
            call.answer = found
            return
        time.sleep(_PAUSE_SECONDS)


def _asked(base_url: str, model: str, api_key: str | None) -> str:
    """Ask once; whatever goes wrong is an answer, since nobody sees how this thread ends."""
    try:
        return answers(base_url, model, api_key)
    except Exception as error:
        return f"the request could not be made: {type(error).__name__}: {error}"


def answers(base_url: str, model: str, api_key: str | None = None) -> str:
    """Ask for one token.

    Args:
        base_url: The model's OpenAI base URL, such as ``http://127.0.0.1:8000/v1``.
        model: Its served name.
        api_key: What the endpoint asks for; None for nothing.

    Returns:
        "" when a token came, else what came instead.
    """
    body = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    try:
        answer = httpx.post(
            f"{base_url}/completions",
            json=body,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
    except httpx.ConnectError as error:
        return f"no connection: {error}"
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    if answer.status_code != httpx.codes.OK:
        return f"HTTP {answer.status_code}: {answer.text.strip()[:300]}"
    return "" if _has_choice(answer) else f"an answer without a choice: {answer.text[:300]}"


def _has_choice(answer: httpx.Response) -> bool:
    try:
        body = answer.json()
    except ValueError:
        return False
    return isinstance(body, dict) and bool(body.get("choices"))
