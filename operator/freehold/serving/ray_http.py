"""What stands before Ray itself in the HTTP server of each replica.

Ray reads a request's headers, and answers for a replica's health, before it calls the engine's app
and so before the guard there.
"""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from freehold.serving.engine_death import IS_DEAD
from freehold.serving.guard import App, Receive, Scope, Send

# By these a client chooses what is not its to choose: that its request goes on when it has hung up,
# and after which time a request is given up, or that none ever is
# (``parse_disconnect_disabled_header`` and ``parse_request_timeout_header`` in Ray 2.60).
STEERING = frozenset({b"x-request-disconnect-disabled", b"x-request-timeout-seconds"})
# What HAProxy asks to know whether to send requests here.
HEALTH = "/-/healthz"


class BeforeRay:
    """ASGI middleware: no header that steers Ray, and no health without an engine."""

    def __init__(self, app: App) -> None:
        """Stand before ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on, or answer that this replica takes no more."""
        if scope["type"] == "http" and scope["path"].endswith(HEALTH) and IS_DEAD.is_set():
            await PlainTextResponse("the engine is dead", 503)(scope, receive, send)
            return
        if "headers" in scope:
            kept = [header for header in scope["headers"] if header[0].lower() not in STEERING]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Return what every HTTP server of Serve's gets that is told of this function."""
    return [Middleware(BeforeRay)]
