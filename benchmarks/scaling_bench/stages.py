"""What is asked of a model, stage after stage, and what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.live.harness import Run, complete, decisions, eventually

NAME = "tiny"
# What a stage may take: an engine's start on two cores beside another that is busy.
_PATIENCE_S = 300.0
_ANSWER = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A request that came back: when, after how many seconds, and with what status or error."""

    at: float
    seconds: float
    status: int | str


@dataclass
class Stages:
    """A model that is asked.

    Attributes:
        run: What serves it.
        url: Where.
        tell: Says what begins.
        begun: When each stage began, in seconds since 1970, and what it is.
        answers: Of all requests.
    """

    run: Run
    url: str
    tell: Callable[[str], None]
    begun: list[tuple[float, str]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """Return every decision so far."""
        return decisions(self.run, NAME)

    def begin(self, stage: str) -> None:
        """Begin a stage."""
        self.tell(stage)
        self.begun.append((time.time(), stage))

    def until(self, what: str, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until a decision that was made since is as wanted."""
        now = time.time()

        def found() -> bool:
            return any(it["time"] > now and holds(it) for it in self.decisions)

        eventually(what, found, _PATIENCE_S)

    def decided(self, more: int) -> None:
        """Wait for so many further decisions, one in two seconds."""
        enough = len(self.decisions) + more
        eventually("decisions", lambda: len(self.decisions) >= enough, _PATIENCE_S)

    @contextmanager
    def clients(self, many: int) -> Iterator[None]:
        """Keep so many clients asking, one request after the other."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(stop,)) for _ in range(many)]
        for it in threads:
            it.start()
        try:
            yield
        finally:
            stop.set()
            for it in threads:
                it.join()

    def _ask(self, stop: threading.Event) -> None:
        with httpx.Client(trust_env=False) as client:
            while not stop.is_set():
                began = time.time()
                status: int | str
                try:
                    status = complete(self.url, NAME, tokens=_ANSWER, client=client).status_code
                except httpx.HTTPError as error:
                    status = repr(error)
                ended = time.time()
                self.answers.append(Answer(ended, ended - began, status))
