"""A server that streams like an engine and computes nothing: what is left is the way itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

_CHUNK = (
    b'data: {"id":"cmpl-0123456789abcdef0123456789abcdef","object":"text_completion",'
    b'"created":1780000000,"model":"noop","choices":[{"index":0,"text":" word","logprobs":null,'
    b'"finish_reason":null,"stop_reason":null,"token_ids":null}],"usage":null}\n\n'
)
_END = b'data: {"model":"noop","choices":[],"usage":{"completion_tokens":%d}}\n\ndata: [DONE]\n\n'
# Sixteen streams at this pace give 3200 chunks a second: each travels alone, no core is full.
_PAUSE_SECONDS = 0.005
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8")]


class Stream:
    """The app; an object, since Serve takes a function for one that makes the app."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a completion request with as many chunks as it asks tokens, others with none."""
        if scope["type"] == "lifespan":
            return
        body = b""
        if scope["method"] == "POST":
            while (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        tokens = json.loads(body)["max_tokens"] if body else 0
        for _ in range(tokens):
            await send({"type": "http.response.body", "body": _CHUNK, "more_body": True})
            await asyncio.sleep(_PAUSE_SECONDS)
        await send({"type": "http.response.body", "body": _END % tokens, "more_body": False})


stream = Stream()
