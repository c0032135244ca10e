"""The demo as a newcomer meets it: one command, and a real model answers, whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from tests.english import is_english
from tests.live.harness import Run, complete, eventually, load_on
from tests.ports import free_port

from freehold.local.metrics import read_metrics

EXAMPLE = Path(__file__).parents[2] / "examples" / "gemma-3-270m.yaml"
NAME = "gemma-3-270m"
CLIENTS = 8
HEALING_SECONDS = 400.0


@dataclass(frozen=True)
class Demo:
    """The example as it runs, of a file that can be edited."""

    run: Run
    port: int
    file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def running(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    file, port = tmp_path_factory.mktemp("demo") / "model.yaml", free_port()
    shutil.copy(EXAMPLE, file)
    with Run([str(file), "--port", str(port)]) as run:
        run.says(f"{NAME} answers at")
        yield Demo(run, port, file)


def test_it_answers_in_english_over_two_tensor_parallel_workers(running: Demo) -> None:
    answer = complete(running.url, NAME, tokens=40)
    assert answer.status_code == 200
    assert "-tp2-" in answer.json()["system_fingerprint"]
    said = answer.json()["choices"][0]["text"]
    assert is_english(said) and len(said.split()) > 15, said

    eventually("the engine's counters show it", lambda: generated(running.run) >= 40, 60)
    assert pasted(running.run.text)["object"] == "text_completion"


def test_nothing_is_open_beyond_what_clients_need(running: Demo) -> None:
    assert closed(running.port, "/tokenize") == closed(running.port, "/metrics") == 404
    assert not listeners_for_others(running.run)
    # Ray Serve LLM reports on itself through an actor of this name
    assert not [member.name for member in running.run.family() if "Telemetry" in member.name]


def test_an_edit_of_bounds_restarts_nothing_and_a_wrong_one_is_told(running: Demo) -> None:
    engines = pids(running.run, "VLLM::")
    running.edit("maxReplicas: 2", "maxReplicas: 1")
    running.run.says("changed in place, no replica restarts", 30)
    running.edit("maxReplicas: 1", "maxReplicas: x")
    running.run.says("spec.autoscaling.maxReplicas: found", 30)
    assert complete(running.url, NAME).status_code == 200
    assert pids(running.run, "VLLM::") == engines


def test_a_killed_worker_heals_and_what_the_engine_had_is_answered(running: Demo) -> None:
    first, second = pids(running.run, "VLLM::Worker")

    def answered_by_another() -> bool:
        if first in pids(running.run, "VLLM::Worker"):
            return False
        try:
            return complete(running.url, NAME, seconds=120).status_code == 200
        except httpx.HTTPError:
            return False

    # an HAProxy that does not wait for a body has none to send once more
    with load_on(running.url, NAME, clients=CLIENTS, tokens=50, body_after=0.1) as codes:
        eventually("the load is on", lambda: len(codes) >= CLIENTS, HEALING_SECONDS)
        os.kill(second, signal.SIGKILL)
        eventually("a new engine answers", answered_by_another, HEALING_SECONDS)
    # also what the engine had: the next one answers it
    assert len(codes) > CLIENTS and set(codes) == {200}, codes


def test_ctrl_c_ends_it_and_leaves_nothing_behind(running: Demo) -> None:
    assert running.run.stop() == 0
    eventually("everything that was started is gone", lambda: not running.run.left_behind(), 10)


def pids(run: Run, title: str) -> list[int]:
    """Return the processes of a run whose name begins with a title, in the order of their ids."""
    return sorted(it.process.pid for it in run.family() if it.name.startswith(title))


def pasted(said: str) -> dict[str, object]:
    """Run the printed curl line the way a user does: copied as it stands, into a shell."""
    import json

    line = said[said.index("  curl ") :].split("\n\n")[0]
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=True, timeout=120
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def generated(run: Run) -> float:
    """Return the tokens that the engines say they generated, as the live view reads them."""
    for member in run.family():
        for word in member.command:
            if word.startswith("--metrics-export-port="):
                loads = read_metrics(f"http://127.0.0.1:{word.partition('=')[2]}")
                return loads[NAME].generated if NAME in loads else 0.0
    return 0.0


def closed(port: int, path: str) -> int:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30, trust_env=False).status_code


def listeners_for_others(run: Run) -> set[str]:
    """Return the addresses beyond loopback on which anything of this run listens."""
    found = set()
    for member in run.family():
        try:
            connections = member.process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        for connection in connections:
            ip = connection.laddr.ip if connection.laddr else ""
            if connection.status == psutil.CONN_LISTEN and "127.0.0.1" not in ip and ip != "::1":
                found.add(f"{member.name} {ip}:{connection.laddr.port}")
    return found
