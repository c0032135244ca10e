"""The loop of ``freehold run``: edits are applied, faulty ones told, and Ctrl-C ends it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.local.fake_serve import FakeServe, World
from tests.unit.local.manifests import manifest, written
from tests.unit.local.serve_details import application

from freehold.cli import run
from freehold.cli.live_view import LiveView
from freehold.errors import EngineFailed, RayUnavailable
from freehold.local import shared_ray
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


def test_an_edit_that_asks_for_a_key_is_not_applied_where_the_run_began_without(
    one: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    one.options = replace(one.options, host="0.0.0.0")
    one.goes(one.ready, nothing, one.edit(more="  replicas: 2"), nothing)
    output = capsys.readouterr().out
    assert "the change is not applied:\nchat: spec.endpoint.authentication asks for a key" in output
    assert len(one.world.serve.configs) == 1


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


# --- a Ray that goes on without us


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeServe:
    """Return the Ray that a run with ``--address`` serves on; it has no minute to wait."""
    serve = FakeServe()
    monkeypatch.setattr(run, "ServeRest", lambda *_: serve)
    monkeypatch.setattr(run, "send_our_code", lambda _: None)
    monkeypatch.setattr(serve, "close", lambda: None)
    monkeypatch.setattr(shared_ray, "REMOVE_SECONDS", 0.0)
    return serve


def on_shared_ray(one: Run, ray: FakeServe, told: str, *replicas: str) -> None:
    """Serve until Serve has told this, and something of others is being deleted."""
    options = replace(one.options, address=ray.address)

    def tell() -> None:
        one.world.serve = ray
        one.world.tells(one.models[0], told, *replicas, message="ValueError: no such layer")
        ray.told["applications"]["theirs"] = application("theirs", "DELETING", route="/theirs")

    run.on_shared_ray(options, one.models, Script(tell, nothing))


def test_models_that_stay_behind_are_the_error(one: Run, ray: FakeServe) -> None:
    one.file.write_text(manifest(more="  autoscaling: {minReplicas: 0, maxReplicas: 1}"))
    one.models = load([one.file], CHOICES)
    with pytest.raises(RayUnavailable, match=r"stay on the Ray at .* go on serving: chat \("):
        on_shared_ray(one, ray, "RUNNING")


def test_figures_of_load_that_only_its_owner_has_are_not_shown(
    one: Run, ray: FakeServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    views: list[LiveView] = []

    class Kept(LiveView):
        def stop(self, sentence: str) -> None:
            views.append(self)
            super().stop(sentence)

    monkeypatch.setattr(run, "LiveView", Kept)
    with pytest.raises(EngineFailed):
        on_shared_ray(one, ray, "DEPLOY_FAILED")
    assert [view.shows_load for view in views] == [False]


def test_why_a_run_ended_stays_its_error(
    one: Run, ray: FakeServe, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineFailed, match="no such layer"):
        on_shared_ray(one, ray, "DEPLOY_FAILED")
    assert "error: these applications of ours stay on the Ray" in capsys.readouterr().out
