"""The cluster of an afternoon: brought up in the background, found again by any later command.

A process of its own holds it and writes each step into a log, which whoever waits for it reads on.
A cluster that is up says so in a file, written last.
"""

from __future__ import annotations

import fcntl
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from tests.control_plane import build
from tests.control_plane.pinned import cache_folder, tool
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import ServerFailed, wait_for
from tests.installation import ROOT
from tests.installation.everything import everything

# programs that a person types, put into one folder for PATH
FOR_PEOPLE = ("kubectl", "helm")
UP_SECONDS = 300.0
DOWN_SECONDS = 30.0


@dataclass(frozen=True)
class Running:
    """The cluster that runs in the background.

    Attributes:
        pid: The process that holds it.
        created: When that process began, since ids are used again.
        kubeconfig: The administrator's kubeconfig.
        logs: The folder of all logs.
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
            # one that ended may stay for a while as a zombie, until whoever inherited it looks
            ended = process.status() == psutil.STATUS_ZOMBIE
            return process.create_time() == self.created and not ended
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


def up(show: Callable[[str], object]) -> Running:
    """Bring the cluster up, or find the one that runs.

    Args:
        show: Is given the steps as they are done, as text.

    Raises:
        ServerFailed: It did not come up; what its process wrote was shown.
    """
    build.ensure()
    with _lock():
        found = running()
        if found is None:
            return _start(show)
        show(_log().read_text())
        return found


def _start(show: Callable[[str], object]) -> Running:
    holder = _start_holder()
    with _log().open() as steps:
        found = _wait_for(holder, lambda: show(steps.read()))
        show(steps.read())
    return found


def _start_holder() -> subprocess.Popen[bytes]:
    _state().unlink(missing_ok=True)
    with _log().open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.installation", "hold"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            start_new_session=True,
        )


def _wait_for(holder: subprocess.Popen[bytes], look: Callable[[], object]) -> Running:
    """Wait until a cluster is up; whoever gives up takes with it what was begun."""
    end = time.monotonic() + UP_SECONDS
    try:
        while not (found := running()):
            look()
            if holder.poll() is not None:
                look()
                raise ServerFailed("the cluster did not come up, for the reason above")
            if time.monotonic() > end:
                raise ServerFailed(f"the cluster did not come up within {UP_SECONDS:g} s")
            time.sleep(0.05)
    except BaseException:
        holder.terminate()
        holder.wait()
        raise
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
    """Hold a cluster until SIGTERM; what :func:`up` runs in the background."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    with ControlPlane() as plane, everything(plane, _tell):
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


def _tell(step: str) -> None:
    sys.stdout.write(f"# {step}\n")
    sys.stdout.flush()


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


def _log() -> Path:
    return state_folder() / "steps.log"


@contextmanager
def _lock() -> Iterator[None]:
    state_folder().mkdir(parents=True, exist_ok=True)
    with (state_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
