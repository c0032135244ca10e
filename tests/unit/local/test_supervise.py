"""The loop of ``freehold run``: edits are applied, faulty ones told, and Ctrl-C ends it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.local.fake_serve import World
from tests.unit.local.manifests import manifest, written

from freehold.cli import run
from freehold.cli.live_view import LiveView
from freehold.errors import RayUnavailable
from freehold.local.workload import Choices, load

CHOICES = Choices(vendors=("cpu",), offline=True)


class Script(threading.Event):
    """Ctrl-C that comes when its steps, one a pass, are all done."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self._steps: Iterator[Callable[[], object]] = iter(steps)

    def wait(self, timeout: float | None = None) -> bool:
        """Do the next step instead of sleeping."""
        step = next(self._steps, self.set)
        step()
        return self.is_set()


class Run:
    """A run of one file; ``goes`` passes once for each step."""

    def __init__(self, folder: Path) -> None:
        (self.file,) = written(folder, manifest())
        self.options = run.RunOptions(
            (self.file,), run.file_stamps((self.file,)), "127.0.0.1", 8000, None, CHOICES
        )
        self.models = load([self.file], CHOICES)
        self.world = World()

    def goes(self, *steps: Callable[[], object]) -> None:
        view = LiveView()
        self.world.session._say = view.say
        script = Script(*steps)
        run.supervise(self.world.session, view, self.options, self.models, script, lambda: None)

    def ready(self) -> None:
        self.world.tells(self.models[0], "RUNNING", "a")

    def edit(self, **changes: object) -> Callable[[], None]:
        def write() -> None:
            self.file.write_text(manifest(**changes))  # type: ignore[arg-type]
            # a later time, however coarse the file system's clock is
            after = self.file.stat().st_mtime_ns + 10**9
            os.utime(self.file, ns=(after, after))

        return write

    def vanish(self) -> None:
        self.file.unlink()


def nothing() -> None:
    """Let a pass go by."""


@pytest.fixture
def one(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_endpoint_is_announced_once(one: Run, capsys: pytest.CaptureFixture[str]) -> None:
    one.goes(one.ready, nothing, nothing)
    assert capsys.readouterr().out.count("chat answers at") == 1
    assert len(one.world.serve.configs) == 1


def test_ending_before_anything_was_ready_is_an_interruption(one: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        one.goes(nothing, nothing)


def test_an_edit_is_applied_and_the_endpoint_told_again(
    one: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    one.goes(one.ready, nothing, one.edit(more="  replicas: 2"), nothing, nothing)
    output = capsys.readouterr().out
    assert "chat: changed in place, no replica restarts" in output
    assert output.count("chat answers at") == 2
    assert len(one.world.serve.configs) == 2


def test_ending_while_an_edit_loads_is_no_interruption(one: Run) -> None:
    edit = one.edit(context=1024)

    def edit_and_restart() -> None:
        edit()
        one.world.tells(one.models[0], "DEPLOYING", "b STARTING")

    one.goes(one.ready, nothing, edit_and_restart, nothing)
    assert one.world.session.views["chat"].phase == "Loading"


@pytest.mark.parametrize("fault", ["context", "vanished"])
def test_a_faulty_edit_changes_nothing_and_is_told_once(
    one: Run, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    spoil = one.vanish if fault == "vanished" else one.edit(context=-1)
    one.goes(one.ready, nothing, spoil, nothing, nothing)
    output = capsys.readouterr().out
    assert output.count("the change is not applied:") == 1
    assert "cannot be read" in output if fault == "vanished" else "contextLength" in output
    assert len(one.world.serve.configs) == 1
    assert output.count("chat answers at") == 1


def test_an_edit_that_was_made_while_ray_started_is_not_lost(one: Run) -> None:
    one.edit(more="  replicas: 2")()
    one.goes(one.ready, nothing, nothing)
    scaling = one.world.serve.configs[-1]["applications"][0]["deployments"][0]
    assert scaling["autoscaling_config"]["max_replicas"] == 2


def test_a_ray_that_dies_ends_the_loop(one: Run) -> None:
    def dead() -> None:
        raise RayUnavailable("Ray ended by itself")

    with pytest.raises(RayUnavailable):
        run.supervise(
            one.world.session, LiveView(), one.options, one.models, threading.Event(), dead
        )
