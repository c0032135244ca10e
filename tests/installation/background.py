"""The cluster of an afternoon: brought up in the background, found again by any later command.

A process of its own holds it and writes each step into a log, which whoever waits for it reads on.
A cluster that is up says so in a file, written last. There may be one of each kind.
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
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from tests.control_plane.pinned import cache_folder, tool
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import ServerFailed, wait_for
from tests.installation import ROOT
from tests.installation.everything import Tell

# programs that a person types, put into one folder for PATH
FOR_PEOPLE = ("kubectl", "helm")
# a node's images are built at its first start
UP_SECONDS = 1200.0
DOWN_SECONDS = 120.0


@dataclass(frozen=True)
class Running:
    """The cluster that runs in the background.

    Attributes:
        pid: The process that holds it.
        created: When that process began, since ids are used again.
        kubeconfig: The administrator's kubeconfig.
        logs: The folder of all logs.
        programs: The folder of the programs for people.
    """

    pid: int
    created: float
    kubeconfig: str
    logs: str
    programs: str

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
        programs = shlex.quote(self.programs)
        return f'export KUBECONFIG={shlex.quote(self.kubeconfig)} PATH={programs}:"$PATH"'


@dataclass(frozen=True)
class Background:
    """A kind of cluster, of which one may run.

    Attributes:
        kind: Its name.
        bring_up: Holds a cluster as long as its context lasts, and tells of each step.
    """

    kind: str
    bring_up: Callable[[Tell], AbstractContextManager[ControlPlane]]

    def running(self) -> Running | None:
        """Return the cluster that runs, or None."""
        try:
            found = Running(**json.loads(self._state.read_text()))
        except FileNotFoundError:
            return None
        return found if found.alive else None

    def up(self, show: Callable[[str], object]) -> Running:
        """Bring the cluster up, or find the one that runs.

        Args:
            show: Is given the steps as they are done, as text.

        Raises:
            ServerFailed: It did not come up; what its process wrote was shown.
        """
        with self._lock():
            found = self.running()
            if found is None:
                return self._start(show)
            show(self._log.read_text())
            return found

    def down(self) -> bool:
        """Take the cluster down; returns whether one ran."""
        with self._lock():
            found = self.running()
            if found:
                process = psutil.Process(found.pid)
                process.send_signal(signal.SIGTERM)
                wait_for("the cluster is down", lambda: not found.alive, DOWN_SECONDS)
            self._state.unlink(missing_ok=True)
            return found is not None

    def hold(self) -> None:
        """Hold a cluster until SIGTERM; what :meth:`up` runs in the background."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _exit)
        with self.bring_up(_tell) as plane:
            self._write_down(plane)
            try:
                signal.pause()
            finally:
                self._state.unlink(missing_ok=True)

    def _start(self, show: Callable[[str], object]) -> Running:
        holder = self._start_holder()
        with self._log.open() as steps:
            found = self._wait_for(holder, lambda: show(steps.read()))
            show(steps.read())
        return found

    def _start_holder(self) -> subprocess.Popen[bytes]:
        self._state.unlink(missing_ok=True)
        with self._log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.installation", "hold", self.kind],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                start_new_session=True,
            )

    def _wait_for(self, holder: subprocess.Popen[bytes], look: Callable[[], object]) -> Running:
        """Wait until a cluster is up; whoever gives up takes with it what was begun."""
        end = time.monotonic() + UP_SECONDS
        try:
            while not (found := self.running()):
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

    def _write_down(self, plane: ControlPlane) -> None:
        own, programs = psutil.Process(), self._linked_programs()
        paths = (str(it) for it in (plane.cluster.kubeconfig, plane.folder, programs))
        draft = self._state.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(Running(own.pid, own.create_time(), *paths))))
        draft.replace(self._state)

    def _linked_programs(self) -> Path:
        folder = self._folder / "bin"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in FOR_PEOPLE:
            (folder / name).symlink_to(tool(name))
        return folder

    @property
    def _folder(self) -> Path:
        return cache_folder() / self.kind

    @property
    def _state(self) -> Path:
        return self._folder / "running.json"

    @property
    def _log(self) -> Path:
        return self._folder / "steps.log"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _tell(step: str) -> None:
    sys.stdout.write(f"# {step}\n")
    sys.stdout.flush()


def _exit(number: int, _: object) -> None:
    raise SystemExit(128 + number)
