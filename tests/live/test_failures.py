"""What goes wrong is told in one message, heals where it can, and leaves nothing behind."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import httpx
from tests.live.harness import Run, complete, eventually, load_on, manifest
from tests.ports import free_port

HEALING_SECONDS = 400.0
CLIENTS = 8


def test_a_killed_worker_heals(tiny: Path, tmp_path: Path) -> None:
    candidates = [{"name": "cores", "accelerator": "cpu", "parallelism": {"tensor": 2}}]
    file = manifest(tmp_path, "tiny", tiny, hardware={"candidates": candidates})
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with Run([str(file), "--port", str(port)]) as run:
        run.says("tiny answers at")
        before = complete(url, "tiny")
        assert "-tp2-" in before.json()["system_fingerprint"]

        workers = [member.process for member in run.family() if "VLLM::Worker" in member.name]
        assert len(workers) == 2

        def answered_by_another() -> bool:
            alive = {member.process.pid for member in run.family()}
            if workers[0].pid in alive:
                return False
            try:
                return complete(url, "tiny", seconds=120).status_code == 200
            except httpx.HTTPError:
                return False

        # an HAProxy that does not wait for a body has none to send once more
        with load_on(url, "tiny", clients=CLIENTS, body_after=0.1) as codes:
            eventually("the load is on", lambda: len(codes) >= CLIENTS, HEALING_SECONDS)
            workers[1].send_signal(signal.SIGKILL)
            eventually("a new engine answers", answered_by_another, HEALING_SECONDS)
        # also what the engine had: the next one answers it
        assert len(codes) > CLIENTS and set(codes) == {200}, codes
        assert run.stop() == 0
    eventually("everything that was started is gone", lambda: not run.left_behind(), 10)


def test_a_model_that_does_not_load_is_reported_in_the_engines_words(
    tiny: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    weights = broken / "model.safetensors"
    # a whole file, of tensors that the architecture does not have
    weights.write_bytes(weights.read_bytes().replace(b"self_attn.q_proj", b"self_attn.x_proj"))
    file = manifest(tmp_path, "broken", broken)
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with Run([str(file), "--port", str(free_port())], environment=state) as run:
        eventually("it ends", lambda: run.process.poll() is not None, HEALING_SECONDS)
        assert run.process.returncode == 6
        assert "error: broken does not start: " in run.text
        assert "x_proj" in run.text
        assert "Traceback" not in run.text
        logs = tmp_path / "state" / "freehold" / "logs"
        assert f"; logs: {logs}" in run.text
        assert any("x_proj" in log.read_text() for log in logs.glob("worker-*"))
    eventually("everything that was started is gone", lambda: not run.left_behind(), 10)


def test_a_killed_session_leaves_nothing_behind(tiny: Path, tmp_path: Path) -> None:
    file = manifest(tmp_path, "tiny", tiny)
    with Run([str(file), "--port", str(free_port())]) as run:
        run.says("loading the engine")
        run.process.kill()
    eventually("everything that was started is gone", lambda: not run.left_behind(), 60)
