"""What a branch means is asked once in a while, and remembered no longer than the answer stands."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from freehold.api.modeldeployment import ModelSource
from freehold.controller import commits
from freehold.controller.commits import Commits


class Commit(str):
    """A commit of which one can tell whether anybody holds it."""

    __slots__ = ("__weakref__",)


class Hub:
    """A hub of which every branch means a commit of its own, and the loop's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.told: list[weakref.ref[Commit]] = []
        monkeypatch.setattr(commits, "commit_of", self.commit_of)

    def commit_of(self, repository: str, revision: str | None) -> str:
        self.asked.append(repository)
        commit = Commit(f"{repository}@{revision}")
        self.told.append(weakref.ref(commit))
        return commit

    def held(self) -> int:
        gc.collect()
        return sum(it() is not None for it in self.told)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(monkeypatch)


async def ask(known: Commits, repository: str, at: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: at)
    source = ModelSource(source=f"hf://{repository}", revision="main")
    assert await known.commit_of(source) == f"{repository}@main"


async def test_a_branch_is_asked_again_after_a_minute(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Commits()
    for at in (1000.0, 1060.0, 1061.0):
        await ask(known, "org/a", at, monkeypatch)
    assert hub.asked == ["org/a"] * 2


async def test_what_stands_no_more_is_not_kept(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Commits()
    for number in range(10):
        await ask(known, f"org/{number}", 1000.0 + 61 * number, monkeypatch)
    assert hub.held() == 1
