"""One real one-token request: the only proof that an engine answers.

Serve calls an application RUNNING while every request fails, when the engine behind it has died
or its first kernel does not compile.
"""

from __future__ import annotations

import httpx

# The first request compiles kernels; on a busy machine that has taken more than a minute.
TIMEOUT_SECONDS = 300.0


def answers(base_url: str, model: str, headers: dict[str, str] | None = None) -> str:
    """Ask for one token.

    Args:
        base_url: The model's OpenAI base URL, such as ``http://127.0.0.1:8000/v1``.
        model: Its served name.
        headers: Further headers, such as a key.

    Returns:
        "" when a token came, else what came instead.
    """
    body = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    try:
        answer = httpx.post(
            f"{base_url}/completions",
            json=body,
            headers=headers or {},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
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
