"""``freehold run`` looks at the manifest, the plan and the machine before it starts anything."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.ports import free_port
from tests.unit.cli.command_line import freehold
from tests.unit.local.manifests import manifest, written

from freehold.api.faults import Fault
from freehold.cli import run as run_module
from freehold.local.machine import Gpu, Machine

GIB = 1024**3
BIG = Machine(cores=64, available_memory=900 * GIB, compiler="/usr/bin/g++")
SMALL = Machine(cores=1, available_memory=3 * GIB, compiler=None)
PUBLIC = "  endpoint:\n    authentication: {type: None}\n"
IMPOSSIBLE = manifest(source="hf://meta-llama/Llama-3.1-405B")


class Started(Exception):
    """Ray would have been started."""


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what a Ray was asked for; none is ever started."""
    asked: list[dict[str, Any]] = []

    def fake_ray_process(**options: Any) -> None:
        asked.append(options)
        raise Started("a Ray is asked for")

    monkeypatch.setattr(run_module, "RayProcess", fake_ray_process)
    monkeypatch.setattr("freehold.sources.hub.check_access", lambda *_, **__: ())
    monkeypatch.delenv("FREEHOLD_DEBUG", raising=False)
    monkeypatch.delenv("FREEHOLD_API_KEY", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return asked


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Return what makes this machine another one; it begins as a big one."""

    def become(machine: Machine) -> None:
        monkeypatch.setattr(run_module, "this_machine", lambda: machine)

    become(BIG)
    return become


@pytest.fixture
def taken() -> Any:
    """Return a port that somebody listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield str(other.getsockname()[1])


def told(result: Result, code: int, *words: str) -> str:
    """Return what stands on standard error, after judging it."""
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    return result.stderr


@pytest.mark.usefixtures("on")
def test_a_missing_file_is_named() -> None:
    told(freehold("run", "nowhere/model.yaml"), 2, "nowhere/model.yaml", "No such file")


@pytest.mark.usefixtures("on")
def test_no_file_at_all_is_a_mistake_of_the_command_line() -> None:
    told(freehold("run"), 2, "FILES", "Usage")


@pytest.mark.usefixtures("on")
def test_a_faulty_manifest_is_told_by_line(tmp_path: Path) -> None:
    (file,) = written(tmp_path, manifest().replace("spec:", "spec:\n  replica: 1"))
    told(freehold("run", str(file)), 2, f"{file}:6: spec.replica", "replicas")


@pytest.mark.usefixtures("on")
def test_an_unknown_accelerator_is_told(tmp_path: Path) -> None:
    (file,) = written(tmp_path, manifest())
    result = freehold("run", str(file), "--accelerator", "h100")
    told(result, 2, "--accelerator", "Did you mean h100-80gb")


@pytest.mark.usefixtures("on")
def test_a_model_that_nothing_carries_is_told_with_the_reason(tmp_path: Path) -> None:
    (file,) = written(tmp_path, IMPOSSIBLE)
    told(freehold("run", str(file)), 3, "no candidate carries chat", "cores: ", "GiB")


@pytest.mark.usefixtures("on")
def test_a_manifest_for_gpus_on_a_machine_without_is_told_the_way_out(tmp_path: Path) -> None:
    (file,) = written(tmp_path, manifest(candidates="{name: a, accelerator: h100-80gb}"))
    told(freehold("run", str(file)), 3, "run with --accelerator cpu")


@pytest.mark.usefixtures("on")
def test_a_model_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    (file,) = written(tmp_path, manifest(source="file:///nope"))
    told(freehold("run", str(file)), 5, str(file), "no such folder: /nope", "a folder with config")


@pytest.mark.usefixtures("on")
def test_a_port_that_is_taken_is_told(tmp_path: Path, taken: str) -> None:
    (file,) = written(tmp_path, manifest())
    told(freehold("run", str(file), "--port", taken), 4, f"port {taken}", "--port", "ss -ltnp")


def test_too_little_memory_is_told(tmp_path: Path, on: Callable[[Machine], None]) -> None:
    on(Machine(cores=64, available_memory=3 * GIB, compiler="/usr/bin/g++"))
    (file,) = written(tmp_path, manifest())
    result = freehold("run", str(file), "--port", str(free_port()))
    told(result, 4, "3.0 GiB are available", "lower replicas", "free some memory")


def test_a_missing_compiler_is_told(tmp_path: Path, on: Callable[[Machine], None]) -> None:
    on(SMALL)
    (file,) = written(tmp_path, manifest())
    told(freehold("run", str(file), "--port", str(free_port())), 4, "apt-get install g++")


def test_too_few_gpus_are_told(tmp_path: Path, on: Callable[[Machine], None]) -> None:
    on(Machine(64, 900 * GIB, "/usr/bin/g++", (Gpu("NVIDIA H100", 80 * GIB),)))
    candidate = "{name: a, accelerator: h100-80gb, parallelism: {tensor: 4}}"
    (file,) = written(tmp_path, manifest(candidates=candidate))
    told(freehold("run", str(file), "--port", str(free_port())), 4, "need 4 GPUs", "has 1")


@pytest.mark.usefixtures("on")
def test_a_gated_model_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]]
) -> None:
    gated = Fault("spec.model.source", "a gated repository", "an accepted licence and HF_TOKEN")
    monkeypatch.setattr("freehold.sources.hub.check_access", lambda *_, **__: (gated,))
    (file,) = written(tmp_path, manifest())
    result = freehold("run", str(file), "--port", str(free_port()))
    told(result, 5, f"{file}:7: spec.model.source: found a gated repository", "HF_TOKEN")
    assert started == []


# --- order


def test_the_manifest_comes_before_plan_and_machine(
    tmp_path: Path, on: Callable[[Machine], None], taken: str
) -> None:
    on(SMALL)
    files = written(tmp_path, IMPOSSIBLE, manifest("b", context=-1))
    told(freehold("run", *map(str, files), "--port", taken), 2, "contextLength")


def test_the_plan_comes_before_the_machine(
    tmp_path: Path, on: Callable[[Machine], None], taken: str
) -> None:
    on(SMALL)
    (file,) = written(tmp_path, IMPOSSIBLE)
    told(freehold("run", str(file), "--port", taken), 3, "no candidate carries")


def test_nothing_is_started_while_anything_is_wrong(
    tmp_path: Path, on: Callable[[Machine], None], taken: str, started: list[dict[str, Any]]
) -> None:
    (good,) = written(tmp_path, manifest())
    freehold("run", "nowhere.yaml")
    freehold("run", str(good), "--port", taken)
    on(SMALL)
    freehold("run", str(good), "--port", str(free_port()))
    assert started == []


@pytest.mark.usefixtures("on")
def test_ray_is_asked_for_once_all_is_well(tmp_path: Path, started: list[dict[str, Any]]) -> None:
    (file,) = written(tmp_path, manifest(more="  replicas: 2"))
    freehold("run", str(file), "--port", str(free_port()), "--offline")
    (options,) = started
    # two replicas and two to spare, each a worker and its own process
    assert options["cpus"] == 4 + 4 * 2
    assert options["environment"]["HF_HUB_OFFLINE"] == "1"
    assert options["environment"]["RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING"] == "1"


# --- a Ray that runs already


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("127.0.0.1:8265", "http://127.0.0.1:8265"),
        ("ray.lan:80", "http://ray.lan:80"),
        ("ray://head:10001", "http://127.0.0.1:8265"),
        ("auto", "http://127.0.0.1:8265"),
        ("", "http://127.0.0.1:8265"),
        ("http://", "http://127.0.0.1:8265"),
        ("http://[::1", "http://127.0.0.1:8265"),
        ("http://head:99999", "http://127.0.0.1:8265"),
    ],
)
def test_an_address_that_is_no_url_is_a_mistake_of_the_command_line(
    tmp_path: Path, address: str, right: str
) -> None:
    (file,) = written(tmp_path, manifest())
    result = freehold("run", str(file), "--address", address)
    told(result, 2, "--address", repr(address), f"write {right}\n")


@pytest.mark.usefixtures("on")
def test_a_dashboard_that_does_not_answer_is_told(tmp_path: Path) -> None:
    (file,) = written(tmp_path, manifest())
    address = f"http://127.0.0.1:{free_port()}"
    told(freehold("run", str(file), "--address", address), 7, address, "check that Ray runs there")


def test_a_given_ray_is_not_judged_by_this_machine(
    tmp_path: Path, on: Callable[[Machine], None], taken: str
) -> None:
    on(SMALL)
    (file,) = written(tmp_path, manifest(candidates="{name: a, accelerator: h100-80gb}"))
    address = f"http://127.0.0.1:{free_port()}"
    told(freehold("run", str(file), "--address", address, "--port", taken), 7, address)


# --- where it listens


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("host", ["", "::1", "::", "host.invalid", "192.0.2.1"])
def test_a_host_that_cannot_be_used_is_a_mistake_of_the_command_line(
    tmp_path: Path, host: str, started: list[dict[str, Any]]
) -> None:
    (file,) = written(tmp_path, manifest())
    result = freehold("run", str(file), "--host", host, "--port", str(free_port()))
    told(result, 2, "--host", host, "use 127.0.0.1")
    assert started == []


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize(
    ("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False), ("localhost", False)]
)
def test_an_endpoint_for_everybody_is_told_to_have_no_key(
    tmp_path: Path, host: str, warned: bool
) -> None:
    (file,) = written(tmp_path, manifest(more=PUBLIC))
    port = str(free_port())
    result = freehold("run", str(file), "--host", host, "--port", port, "--offline")
    sentence = f"--host {host}: whoever reaches this machine can use the models on port {port}"
    assert (sentence in result.stdout) == warned
    assert ("no key" in result.stdout) == warned


@pytest.mark.usefixtures("on")
def test_a_key_is_made_and_shown_once_where_others_can_reach_the_endpoint(
    tmp_path: Path, started: list[dict[str, Any]]
) -> None:
    (file,) = written(tmp_path, manifest())
    made = []
    for _ in range(2):
        result = freehold("run", str(file), "--host", "0.0.0.0", "--port", str(free_port()))
        (key,) = re.findall(r"export FREEHOLD_API_KEY=(fh-[0-9a-f]{64})\n", result.stdout)
        assert result.stdout.count(key) == 1
        made.append(key)
    assert [it["api_key"] for it in started] == made
    assert made[0] != made[1]


@pytest.mark.usefixtures("on")
def test_a_key_of_the_environment_is_asked_for_and_not_shown(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEHOLD_API_KEY", "fh-of-mine")
    (file,) = written(tmp_path, manifest())
    result = freehold("run", str(file), "--host", "0.0.0.0", "--port", str(free_port()))
    assert "needs the key of FREEHOLD_API_KEY" in result.stdout
    assert "fh-of-mine" not in result.stdout + result.stderr
    freehold("run", str(file), "--port", str(free_port()))
    assert [it["api_key"] for it in started] == ["fh-of-mine", None]


@pytest.mark.usefixtures("on")
def test_a_key_that_no_header_can_carry_is_told_before_anything_starts(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEHOLD_API_KEY", "two words")
    (file,) = written(tmp_path, manifest())
    result = freehold("run", str(file), "--host", "0.0.0.0", "--port", str(free_port()))
    told(result, 2, "FREEHOLD_API_KEY has a character that a header cannot carry")
    assert started == []


# --- cores


@pytest.mark.parametrize(
    ("candidate", "options", "words"),
    [
        ("{name: a, accelerator: cpu, parallelism: {tensor: 4}}", (), "lower parallelism of a in"),
        ("{name: a, accelerator: cpu}", (), "AcceleratorClass of your own"),
        # --accelerator plans anew, whatever a candidate of the same name says
        (
            "{name: cpu, accelerator: cpu, parallelism: {tensor: 4}}",
            ("--accelerator", "cpu"),
            "AcceleratorClass of your own",
        ),
    ],
)
def test_too_few_cores_are_told_with_what_would_work(
    tmp_path: Path,
    on: Callable[[Machine], None],
    candidate: str,
    options: tuple[str, ...],
    words: str,
) -> None:
    on(Machine(cores=1, available_memory=900 * GIB, compiler="/usr/bin/g++"))
    text = manifest(source="hf://meta-llama/Llama-3.2-3B", candidates=candidate)
    (file,) = written(tmp_path, text)
    result = freehold("run", str(file), "--port", str(free_port()), "--offline", *options)
    error = told(result, 4, "this machine has 1 core(s)", words)
    assert ("lower parallelism" in error) == words.startswith("lower")


# --- tracebacks


@pytest.mark.usefixtures("on")
def test_debug_shows_where_only_for_what_nobody_foresaw(tmp_path: Path) -> None:
    (file,) = written(tmp_path, manifest())
    arguments = ("run", str(file), "--port", str(free_port()))
    plain = freehold(*arguments)
    told(plain, 1, "unexpected error: a Ray is asked for", "run again with --debug")
    shown = freehold(*arguments, "--debug")
    assert shown.exit_code == 1
    assert "Traceback" in shown.stderr
    assert "fake_ray_process" in shown.stderr
    told(freehold("run", "nowhere.yaml", "--debug"), 2, "nowhere.yaml")
    (bad,) = written(tmp_path, IMPOSSIBLE)
    told(freehold("run", str(bad), "--debug"), 3, "no candidate carries")
