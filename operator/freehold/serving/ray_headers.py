"""Headers by which a client would steer Ray, taken off before Ray reads them.

A replica of Serve's reads a request's headers before it calls the engine's app, and so before the
guard there. By two of them a client chooses what is not its to choose: that its request goes on
when it has hung up, and after which time a request is given up, or that none ever is
(``parse_disconnect_disabled_header`` and ``parse_request_timeout_header`` in Ray 2.60).
"""

from __future__ import annotations

from starlette.middleware import Middleware

from freehold.serving.guard import App, Receive, Scope, Send

STEERING = frozenset({b"x-request-disconnect-disabled", b"x-request-timeout-seconds"})


class WithoutSteering:
    """ASGI middleware that hands a request on without ``STEERING``."""

    def __init__(self, app: App) -> None:
        """Stand before ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on."""
        if "headers" in scope:
            kept = [header for header in scope["headers"] if header[0].lower() not in STEERING]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Return what every HTTP server of Serve's gets that is told of this function."""
    return [Middleware(WithoutSteering)]
