"""What is shown while models are served: lines, or a table on a terminal."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.local.fake_serve import World
from tests.unit.local.manifests import manifest, served

from freehold.cli import live_view
from freehold.cli.live_view import LiveView
from freehold.local.applications import ApplicationState, ReplicaState
from freehold.local.metrics import ModelLoad
from freehold.local.session import ModelView
from freehold.local.workload import Served

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def chat(tmp_path: Path) -> Served:
    return served(tmp_path, manifest())[0]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every console a narrow one, and none a terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every console a terminal of ordinary width."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def a_view(chat: Served, phase: str, message: str = "") -> ModelView:
    state = ApplicationState("DEPLOYING", message, 2, (ReplicaState("a", "RUNNING", 1, ""),))
    now = time.monotonic()
    return ModelView(chat, phase=phase, since=now, state=state)  # type: ignore[arg-type]


def test_a_line_is_printed_for_every_change_of_phase(chat: Served, capsys: Capture) -> None:
    view = LiveView()
    for phase in ("Starting", "Starting", "Loading", "Loading", "Probing", "Ready", "Ready"):
        view.show([a_view(chat, phase)])
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert output.splitlines() == [
        "chat: building the application (0 s)",
        "chat: loading the engine (0 s)",
        "chat: waiting for its first token (0 s)",
        "chat: ready (0 s)",
    ]


def test_each_model_has_its_own_lines(tmp_path: Path, capsys: Capture) -> None:
    first, second = served(tmp_path, manifest("a"), manifest("b"))
    view = LiveView()
    view.show([a_view(first, "Ready"), a_view(second, "Loading")])
    view.show([a_view(first, "Ready"), a_view(second, "Ready")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["a: ready (0 s)", "b: loading the engine (0 s)", "b: ready (0 s)"]


def test_a_long_wait_is_told_again_and_why(
    chat: Served, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "_HEARTBEAT_SECONDS", 0.0)
    view = LiveView()
    waits = "Deployment has 1 replicas that have taken more than 30s to be scheduled.\nmore"
    for _ in range(2):
        view.show([a_view(chat, "Loading", waits)])
        view.show([a_view(chat, "Ready", waits)])
        view.show([a_view(chat, "Ready", waits)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("loading the engine (0 s): " + waits.splitlines()[0])
    assert lines == lines[:2] * 2


def test_sentences_are_neither_broken_nor_read_as_markup(capsys: Capture) -> None:
    sentence = f"error in [bold]spec.engine.args[0][/bold]: {'long ' * 40}end"
    LiveView().say(sentence)
    assert capsys.readouterr().out == f"{sentence}\n"


def test_the_line_to_paste_is_whole_and_right(tmp_path: Path, capsys: Capture) -> None:
    more = "    servedName: org/a-model-with-a-name-that-is-longer-than-the-terminal-is-wide\n"
    text = manifest().replace("    contextLength", f"{more}    contextLength")
    (model,) = served(tmp_path, text)
    LiveView().endpoints(World(model).session, asks_for_key=False)
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "chat answers at http://127.0.0.1:8000/v1\n" in output
    command = output[output.index("  curl") :].replace("\\\n", " ")
    words = shlex.split(command)
    assert words[:2] == ["curl", "http://127.0.0.1:8000/v1/completions"]
    body = json.loads(words[words.index("-d") + 1])
    assert body["model"] == "org/a-model-with-a-name-that-is-longer-than-the-terminal-is-wide"
    assert len(output[output.index("  curl") :].strip().splitlines()) == 2


def test_the_line_to_paste_bears_the_key_where_one_is_asked_for(
    tmp_path: Path, capsys: Capture
) -> None:
    (model,) = served(tmp_path, manifest())
    LiveView().endpoints(World(model).session, asks_for_key=True)
    assert ' -H "Authorization: Bearer $FREEHOLD_API_KEY" ' in capsys.readouterr().out


def test_a_model_without_replicas_has_no_endpoint(tmp_path: Path, capsys: Capture) -> None:
    models = served(tmp_path, manifest("a"), manifest("b", more="  suspend: true"))
    LiveView().endpoints(World(*models).session, asks_for_key=False)
    output = capsys.readouterr().out
    assert "http://127.0.0.1:8000/a/v1" in output
    assert "b answers" not in output


def test_stopping_is_told(capsys: Capture) -> None:
    LiveView().stop("stopping")
    assert capsys.readouterr().out == "stopping\n"


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_a_table(chat: Served, capsys: Capture) -> None:
    view = LiveView()
    busy = replace(
        a_view(chat, "Ready"), load=ModelLoad(running=3, waiting=7), tokens_per_second=123.4
    )
    view.show([busy])
    view.say("chat: changed in place, no replica restarts")
    view.stop("stopping")
    output = capsys.readouterr().out
    assert "\x1b[" in output
    heads = ("MODEL", "STATE", "FOR", "REPLICAS", "RUNNING", "QUEUED", "TOKENS/S")
    assert all(head in output for head in heads)
    row = next(line for line in output.splitlines() if "chat" in line and "1/2" in line)
    figures = row.split("1/2")[1].split()
    assert figures[:3] == ["3", "7", "123"]
    assert "chat: changed in place, no replica restarts\n" in output
    assert output.rstrip().endswith("stopping")


@pytest.mark.usefixtures("terminal")
def test_figures_that_nobody_tells_are_dashes(chat: Served, capsys: Capture) -> None:
    view = LiveView()
    view.show([replace(a_view(chat, "Ready"), load=None, tokens_per_second=5.0)])
    view.stop("stopping")
    rows = [line for line in capsys.readouterr().out.splitlines() if "1/2" in line]
    assert rows[0].split("1/2")[1].split()[:3] == ["-", "-", "-"]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    chat: Served, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    view = LiveView()
    view.show([a_view(chat, "Loading")])
    view.show([a_view(chat, "Ready")])
    output = capsys.readouterr().out
    assert output.splitlines() == ["chat: loading the engine (0 s)", "chat: ready (0 s)"]


def test_figures_of_load_are_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not LiveView().shows_load
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert LiveView().shows_load
    assert not LiveView(loads=False).shows_load
