"""What is asked of a model, stage after stage, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.live.harness import asking, decisions, eventually, outcome

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
        log: Where its scaling decisions are.
        url: Where.
        tell: Says what begins.
        begun: When each stage began, in seconds since 1970, and what it is.
        answers: Of all requests.
    """

    log: Path
    url: str
    tell: Callable[[str], None]
    begun: list[tuple[float, str]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """Return every decision so far."""
        return decisions(self.log)

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

    def clients(self, many: int) -> AbstractContextManager[None]:
        """Keep so many clients asking, one request after the other."""
        return asking(many, self._ask)

    def _ask(self, client: httpx.Client) -> None:
        began = time.time()
        status = outcome(self.url, NAME, tokens=_ANSWER, client=client)
        ended = time.time()
        self.answers.append(Answer(ended, ended - began, status))
