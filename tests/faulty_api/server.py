"""The proxy in a thread of its own, as tests use it."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from tests.faulty_api.faults import Fault, Rule
from tests.faulty_api.journal import Journal
from tests.faulty_api.proxy import Proxy
from tests.faulty_api.upstream import Upstream

_T = TypeVar("_T")
_HOST = "127.0.0.1"
# how long anything of the proxy's own may take
_SECONDS = 30.0


class FaultyApi:
    """Runs while its ``with`` does; its methods may be called from any thread."""

    def __init__(self, kubeconfig: Path) -> None:
        """Stand in front of the server that a kubeconfig names."""
        self._kubeconfig = kubeconfig
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty API server")
        self._runners: dict[str, web.AppRunner] = {}

    def __enter__(self) -> FaultyApi:
        self._folder = tempfile.TemporaryDirectory()
        self._thread.start()
        self._proxy = Proxy(self._do(Upstream.connect(self._kubeconfig)))
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    @property
    def journal(self) -> Journal:
        """Return what has been asked for so far."""
        return self._proxy.journal

    def kubeconfig(self, client: str, token: str | None = None) -> Path:
        """Write a kubeconfig with which a client comes through here, and return its path.

        Args:
            client: The client's name in the journal and in rules.
            token: Its bearer token; None for the rights of the kubeconfig behind the proxy. The
                proxy adds it: Go's clients send none where there is no TLS.
        """
        if token is not None:
            self._proxy.tokens[client] = token
        named = {"name": client}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [named | {"cluster": {"server": self.url(client)}}],
            "users": [named | {"user": {}}],
            "contexts": [named | {"context": {"cluster": client, "user": client}}],
            "current-context": client,
        }
        path = Path(self._folder.name) / f"{client}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def url(self, client: str) -> str:
        """Return a client's address of the API server; it begins to be served when first asked."""
        if client not in self._runners:
            self._runners[client] = self._do(self._serve(client))
        return f"http://{_HOST}:{self._runners[client].addresses[0][1]}"

    def inject(
        self,
        fault: Fault,
        *,
        method: str = ".*",
        path: str = "",
        client: str = "",
        watch: bool | None = None,
        skip: int = 0,
        times: int | None = 1,
    ) -> Rule:
        """Let something go wrong with the next requests that match; see ``Rule``.

        Returns:
            The rule, whose ``hits`` tell how often it struck, and which can be removed.
        """
        meant = {"method": method, "path": path, "client": client}
        rule = Rule(fault, **meant, watch=watch, skip=skip, times=times)
        self._do(self._inject(rule))
        return rule

    def heal(self) -> None:
        """Let nothing more go wrong; what hangs or is silent stays so."""
        for rule in self._proxy.rules:
            rule.remove()

    async def _inject(self, rule: Rule) -> None:
        self._proxy.inject(rule)

    async def _serve(self, client: str) -> web.AppRunner:
        # a handler ends with its client's connection, as does the request to the server behind it
        runner = web.AppRunner(
            self._proxy.app_for(client),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=0.1,
        )
        await runner.setup()
        await web.TCPSite(runner, _HOST, 0).start()
        return runner

    async def _end(self) -> None:
        for runner in self._runners.values():
            await runner.cleanup()
        await self._proxy.upstream.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # connections that were closed just now tell so in the loop's next rounds
        for _ in range(3):
            await asyncio.sleep(0)

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)
