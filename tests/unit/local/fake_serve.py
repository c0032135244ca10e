"""A Ray Serve that plays a script, a clock that is turned by hand, and a session on both."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.local.serve_details import application, deployment, details, pid_of, replica

from freehold.errors import RayUnavailable
from freehold.local.serve_rest import ServeRest
from freehold.local.session import ModelView, Session
from freehold.local.workload import Served

ENDPOINT = "http://127.0.0.1:8000"


class FakeServe(ServeRest):
    """Keeps what it was given and tells what the test wrote into ``told``."""

    def __init__(self) -> None:
        self.address = "http://127.0.0.1:8265"
        self.told: dict[str, Any] = details()
        self.configs: list[dict[str, Any]] = []
        self.refuses = ""

    def details(self) -> dict[str, Any]:
        """Return what the test says that Serve says."""
        return copy.deepcopy(self.told)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Keep a config."""
        if self.refuses:
            raise RayUnavailable(self.refuses)
        self.configs.append(copy.deepcopy(dict(config)))


class World:
    """A session whose Ray, clock and engine are the test's.

    Attributes:
        serve: The Ray.
        session: What is tested.
        now: Time in seconds.
        said: Sentences for the user.
        asked: Base URL and name of each probe.
        trouble: What a probe answers; "" for a token, None while it is on its way.
        own_addresses: Base URL of each replica's own server, by process id.
        troubles: What a probe of one base URL answers, where it differs from ``trouble``.
        moves: How often it was told that engines come or go.
    """

    def __init__(self, *models: Served, logs: Path | None = None) -> None:
        self.serve = FakeServe()
        self.now = 100.0
        self.said: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.trouble: str | None = ""
        self.own_addresses: dict[int, str] = {}
        self.troubles: dict[str, str | None] = {}
        self.moves = 0
        self.session = Session(
            self.serve,
            ENDPOINT,
            metrics=None,
            logs=logs,
            http_options=None,
            say=self.said.append,
            clock=lambda: self.now,
            probe=self._probe,
            moved=self._move,
            own_address=self.own_addresses.get,
        )
        if models:
            self.session.apply(models)

    def _probe(self, url: str, name: str) -> str | None:
        self.asked.append((url, name))
        return self.troubles.get(url, self.trouble)

    def has_own_server(self, *replicas: str) -> list[str]:
        """Let replicas listen at addresses of their own and return their OpenAI base URLs."""
        own = {pid_of(id): f"http://127.0.0.1:{29000 + pid_of(id)}" for id in replicas}
        self.own_addresses |= own
        return [f"{url}/v1" for url in own.values()]

    def _move(self) -> None:
        self.moves += 1

    def tells(
        self, served: Served, status: str, *replicas: str, target: int = 1, message: str = ""
    ) -> None:
        """Let Serve say this of one model; replicas as "id" or "id STATE"."""
        assert served.application is not None
        items = [replica(*text.split()) for text in replicas]
        server = deployment(*items, target=target, message=message)
        deployments = {served.deployment: server} if status != "DEPLOY_FAILED" else {}
        words = message if not deployments else ""
        self.serve.told["applications"][served.name] = application(
            served.name, status, config=served.application, message=words, deployments=deployments
        ) | {"route_prefix": served.application["route_prefix"]}

    def step(self, served: Served, *told: str, **more: Any) -> ModelView:
        """Let Serve say something, if anything, pass once and return the model's view."""
        if told:
            self.tells(served, *told, **more)
        self.now += 1.0
        self.session.step()
        return self.session.views[served.name]
