"""The cluster of an afternoon: brought up in the background, found again by any later command."""

from __future__ import annotations

import fcntl
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from tests.control_plane import build
from tests.control_plane.pinned import cache_folder, tool
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import ServerFailed, wait_for

# programs that a person types, put into one folder for PATH
FOR_PEOPLE = ("kubectl", "helm")
UP_SECONDS = 120.0
DOWN_SECONDS = 30.0


@dataclass(frozen=True)
class Running:
    """The cluster that runs in the background.

    Attributes:
        pid: The process that holds it.
        created: When that process began, since ids are used again.
        kubeconfig: The administrator's kubeconfig.
        logs: The folder of the servers' logs.
    """

    pid: int
    created: float
    kubeconfig: str
    logs: str

    @property
    def alive(self) -> bool:
        """Whether its process is still the one that was started."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.is_running()
        return False

    @property
    def exports(self) -> str:
        """The line that makes a shell use it."""
        programs = shlex.quote(str(state_folder() / "bin"))
        return f'export KUBECONFIG={shlex.quote(self.kubeconfig)} PATH={programs}:"$PATH"'


def state_folder() -> Path:
    """Return the folder where a running cluster is written down."""
    return cache_folder() / "cluster"


def running() -> Running | None:
    """Return the cluster that runs, or None."""
    try:
        found = Running(**json.loads(_state().read_text()))
    except FileNotFoundError:
        return None
    return found if found.alive else None


def up() -> Running:
    """Bring the cluster up, or return the one that runs.

    Raises:
        ServerFailed: It did not come up; carries what its process wrote.
    """
    build.ensure()
    with _lock():
        if found := running():
            return found
        _state().unlink(missing_ok=True)
        log = state_folder() / "cluster.log"
        with log.open("wb") as output:
            holder = subprocess.Popen(
                [sys.executable, "-m", "tests.control_plane", "hold"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[2],
                start_new_session=True,
            )
        end = time.monotonic() + UP_SECONDS
        while not (found := running()):
            if holder.poll() is not None or time.monotonic() > end:
                holder.terminate()
                raise ServerFailed(f"the cluster did not come up:\n{log.read_text()}")
            time.sleep(0.05)
        return found


def down() -> bool:
    """Take the cluster down; returns whether one ran."""
    with _lock():
        found = running()
        if found:
            process = psutil.Process(found.pid)
            process.send_signal(signal.SIGTERM)
            wait_for("the cluster is down", lambda: not found.alive, DOWN_SECONDS)
        _state().unlink(missing_ok=True)
        return found is not None


def hold() -> None:
    """Hold a control plane until SIGTERM; what :func:`up` runs in the background."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    with ControlPlane() as plane:
        _link_programs()
        own = psutil.Process()
        state = Running(
            own.pid, own.create_time(), str(plane.cluster.kubeconfig), str(plane.folder)
        )
        draft = _state().with_suffix(".draft")
        draft.write_text(json.dumps(asdict(state)))
        draft.replace(_state())
        try:
            signal.pause()
        finally:
            _state().unlink(missing_ok=True)


def _exit(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _link_programs() -> None:
    folder = state_folder() / "bin"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in FOR_PEOPLE:
        (folder / name).symlink_to(tool(name))


def _state() -> Path:
    return state_folder() / "running.json"


@contextmanager
def _lock() -> Iterator[None]:
    state_folder().mkdir(parents=True, exist_ok=True)
    with (state_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
