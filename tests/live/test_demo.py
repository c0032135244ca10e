"""The demo as a newcomer meets it: one command, and a real model answers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psutil
from tests.english import is_english
from tests.live.harness import Run, complete, eventually
from tests.ports import free_port

from freehold.local.metrics import read_metrics

EXAMPLE = Path(__file__).parents[2] / "examples" / "gemma-3-270m.yaml"


def test_the_demo_answers_in_english_over_two_tensor_parallel_workers(
    demo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "model.yaml"
    shutil.copy(EXAMPLE, file)
    port = free_port()
    with Run([str(file), "--port", str(port)]) as run:
        run.says("gemma-3-270m answers at")

        answer = complete(f"http://127.0.0.1:{port}/v1", "gemma-3-270m", tokens=40)
        assert answer.status_code == 200
        assert "-tp2-" in answer.json()["system_fingerprint"]
        said = answer.json()["choices"][0]["text"]
        assert is_english(said) and len(said.split()) > 15, said

        eventually("the engine's counters show it", lambda: generated(run) >= 40, 60)
        assert pasted(run.text)["object"] == "text_completion"
        assert closed(port, "/tokenize") == closed(port, "/metrics") == 404
        assert not listeners_for_others(run)
        # Ray Serve LLM reports on itself through an actor of this name
        assert not [member.name for member in run.family() if "Telemetry" in member.name]

        file.write_text(file.read_text().replace("maxReplicas: 2", "maxReplicas: 3"))
        run.says("changed in place, no replica restarts", 30)
        file.write_text(file.read_text().replace("maxReplicas: 3", "maxReplicas: x"))
        run.says("spec.autoscaling.maxReplicas: found", 30)
        assert complete(f"http://127.0.0.1:{port}/v1", "gemma-3-270m").status_code == 200

        assert run.stop() == 0
    eventually("everything that was started is gone", lambda: not run.left_behind(), 10)


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
                return loads["gemma-3-270m"].generated if "gemma-3-270m" in loads else 0.0
    return 0.0


def closed(port: int, path: str) -> int:
    import httpx

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
