"""What goes wrong is told in one message, heals where it can, and leaves nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.live.harness import Run, eventually, manifest
from tests.ports import free_port

ENDING_SECONDS = 400.0


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
        eventually("it ends", lambda: run.process.poll() is not None, ENDING_SECONDS)
        assert run.process.returncode == 6
        assert "error: broken does not start: " in run.text
        assert "x_proj" in run.text
        assert "Traceback" not in run.text
        logs = tmp_path / "state" / "freehold" / "logs"
        assert f"; logs: {logs}" in run.text
        assert any("x_proj" in log.read_text() for log in logs.glob("worker-*"))
    eventually("everything that was started is gone", lambda: not run.left_behind(), 10)


@pytest.mark.thorough
def test_a_killed_session_leaves_nothing_behind(tiny: Path, tmp_path: Path) -> None:
    file = manifest(tmp_path, "tiny", tiny)
    with Run([str(file), "--port", str(free_port())]) as run:
        run.says("loading the engine")
        run.process.kill()
    eventually("everything that was started is gone", lambda: not run.left_behind(), 60)
