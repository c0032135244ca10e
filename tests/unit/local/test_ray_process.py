"""The folder of a Ray of our own: private, and gone with its session."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.local import ray_process
from freehold.local.ray_process import RayProcess


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ray_process, "_TEMPORARY", str(tmp_path))
    return tmp_path


def dead_process() -> int:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], **OUTPUT)
    return int(done.stdout)


OUTPUT: dict[str, object] = {"capture_output": True, "text": True, "check": True}


def test_the_folder_is_private_and_goes_with_the_session() -> None:
    ray = RayProcess(cpus=1, environment={})
    assert stat.S_IMODE(ray.folder.stat().st_mode) == 0o700
    assert ray.logs.is_relative_to(ray.folder / "ray")
    ray.stop()
    assert not ray.folder.exists()


def test_what_a_killed_session_left_is_swept_and_what_a_living_one_has_stays(
    temporary: Path,
) -> None:
    for name, pid in (("fh-dead", dead_process()), ("fh-alive", os.getpid())):
        (temporary / name).mkdir()
        (temporary / name / "owner").write_text(str(pid))
        (temporary / f"memory-of-{name}").touch()
        (temporary / name / "segments").write_text(str(temporary / f"memory-of-{name}"))
    (temporary / "fh-else").mkdir()
    ray = RayProcess(cpus=1, environment={})
    left = {path.name for path in temporary.iterdir()}
    ray.stop()
    assert left == {"fh-alive", "memory-of-fh-alive", "fh-else", ray.folder.name}


def test_two_sessions_share_no_port_and_no_token() -> None:
    first, second = (RayProcess(cpus=1, environment={}) for _ in range(2))
    ports = [*vars_of(first), *vars_of(second)]
    assert len(ports) == len(set(ports))
    assert first.token != second.token
    first.stop()
    second.stop()


def vars_of(ray: RayProcess) -> list[int]:
    return [getattr(ray.ports, name) for name in ray.ports.__slots__]
