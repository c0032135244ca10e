"""The folder of a Ray of our own: private, and gone with its session."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from freehold.local import ray_process
from freehold.local.ray_process import RayProcess
from freehold.serving.api_keys import keys_of


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


def test_a_key_is_in_a_private_file_and_in_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_API_KEY", "fh-of-this-run")
    ray = RayProcess(cpus=1, environment={}, api_key="fh-of-this-run")
    keys = keys_of(ray._environment)
    assert keys is not None
    assert keys.admit([(b"authorization", b"Bearer fh-of-this-run")])
    assert not [value for value in ray._environment.values() if "fh-of-this-run" in value]
    ray.stop()


def test_engines_of_an_endpoint_without_a_key_ask_for_none() -> None:
    ray = RayProcess(cpus=1, environment={})
    assert keys_of(ray._environment) is None
    ray.stop()


def left_by(folder: Path, pid: int, mode: int = 0o700) -> SharedMemory:
    """Make the folder of a session and return a segment that it has noted."""
    folder.mkdir(mode=mode)
    segment = SharedMemory(create=True, size=4096)
    (folder / "owner").write_text(str(pid))
    (folder / "segments").write_text(segment.name)
    return segment


def test_what_a_killed_session_left_is_swept_and_what_a_living_one_has_stays(
    temporary: Path,
) -> None:
    dead = left_by(temporary / "fh-dead", dead_process())
    alive = left_by(temporary / "fh-alive", os.getpid())
    (temporary / "fh-else").mkdir()
    ray = RayProcess(cpus=1, environment={})
    left = {path.name for path in temporary.iterdir()}
    ray.stop()
    assert left == {"fh-alive", "fh-else", ray.folder.name}
    assert not Path("/dev/shm", dead.name).exists()
    assert Path("/dev/shm", alive.name).exists()
    # this process made both, so its own tracker must be told that one is gone
    resource_tracker.unregister(f"/{dead.name}", "shared_memory")
    dead.close()
    alive.close()
    alive.unlink()


def test_a_folder_that_others_may_have_written_is_not_believed(temporary: Path) -> None:
    open_to_all = left_by(temporary / "fh-open", dead_process(), 0o777)
    elsewhere = temporary / "elsewhere"
    linked = left_by(elsewhere, dead_process())
    (temporary / "fh-link").symlink_to(elsewhere)
    (temporary / "fh-open").chmod(0o777)
    RayProcess(cpus=1, environment={}).stop()
    for folder, segment in ((temporary / "fh-open", open_to_all), (elsewhere, linked)):
        assert folder.exists()
        assert Path("/dev/shm", segment.name).exists()
        segment.close()
        segment.unlink()


def test_logs_outlive_the_session_and_replace_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for words in ("first", "second"):
        ray = RayProcess(cpus=1, environment={})
        ray.logs.mkdir(parents=True)
        (ray.logs / f"{words}.log").write_text(words)
        kept = ray.keep_logs()
        ray.stop()
    assert kept.is_relative_to(tmp_path / "state")
    assert [path.name for path in kept.iterdir()] == ["second.log"]


def test_a_log_that_cannot_be_copied_does_not_take_the_others_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ray = RayProcess(cpus=1, environment={})
    ray.logs.mkdir(parents=True)
    os.mkfifo(ray.logs / "a.log")
    (ray.logs / "b.log").write_text("words")
    kept = ray.keep_logs()
    ray.stop()
    assert [path.name for path in kept.iterdir()] == ["b.log"]


# Stands in for Ray's head: it turns its logs over as Ray does, only without a pause.
TURNING_OVER = """
import os, sys
logs = sys.argv[1]
os.makedirs(logs)
while True:
    for number in range(400):
        open(f"{logs}/{number}.log", "w").close()
    for number in range(400):
        os.unlink(f"{logs}/{number}.log")
"""


def test_logs_are_copied_while_nobody_turns_them_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ray = RayProcess(cpus=1, environment={})
    command = [sys.executable, "-c", TURNING_OVER, str(ray.logs)]
    monkeypatch.setattr(ray, "_command", lambda: command)
    # the test's own process takes in nobody's orphans
    monkeypatch.setattr(ray_process, "_adopt_orphans", lambda: None)
    ray.start()
    while not ray.logs.exists() or not any(ray.logs.iterdir()):
        time.sleep(0.01)
    kept = ray.keep_logs()
    written = {path.name for path in ray.logs.iterdir()}
    ray.stop()
    assert {path.name for path in kept.iterdir()} == written


def test_a_session_without_logs_keeps_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ray = RayProcess(cpus=1, environment={})
    assert ray.keep_logs() is None
    ray.stop()


def test_haproxy_shows_its_figures_to_this_machine_and_the_endpoint_to_whom_it_is_told(
    tmp_path: Path,
) -> None:
    ray = RayProcess(cpus=1, environment={})
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        "defaults\n    mode http\n    timeout client 1s\n    timeout server 1s\n"
        "    timeout connect 1s\n"
        f"frontend prometheus\n    bind :{ray.ports.haproxy_metrics}\n"
        f"frontend stats\n    bind *:{ray.ports.haproxy_stats}\n"
        "frontend http_frontend\n    bind *:8000\n"
    )
    # the real HAProxy reads what the wrapper has made of its configuration
    subprocess.run([ray.folder / "haproxy", "-c", "-f", config], **OUTPUT)
    ray.stop()
    binds = [line.split()[1] for line in config.read_text().splitlines() if "bind" in line]
    metrics, stats = ray.ports.haproxy_metrics, ray.ports.haproxy_stats
    assert binds == [f"127.0.0.1:{metrics}", f"127.0.0.1:{stats}", "*:8000"]


def test_two_sessions_share_no_port_and_no_token() -> None:
    first, second = (RayProcess(cpus=1, environment={}) for _ in range(2))
    ports = [*vars_of(first), *vars_of(second)]
    assert len(ports) == len(set(ports))
    assert first.token != second.token
    first.stop()
    second.stop()


def vars_of(ray: RayProcess) -> list[int]:
    return [getattr(ray.ports, name) for name in ray.ports.__slots__]
