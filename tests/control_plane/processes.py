"""Processes of a control plane: in one group, each with a log, ended by the keeper."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import psutil

T = TypeVar("T")
MARKER = "FREEHOLD_CONTROL_PLANE"
LAST_LINES = 15
_PAUSE = 0.25
KEEPER = Path(__file__).with_name("keeper.py")


class ServerFailed(RuntimeError):
    """A server ended or was not ready in time; the message carries the end of its log."""


def wait_for(what: str, found: Callable[[], T], seconds: float, every: float = 0.05) -> T:
    """Wait until something is found, or a condition holds, and return it.

    Args:
        what: What is waited for, for the error.
        found: Asked again and again until its answer counts as true.
        seconds: How long to wait at most.
        every: Seconds between the first two questions. What takes longer is asked about less
            often, down to four times a second: each question takes from what is waited for.

    Raises:
        TimeoutError: It is not found in time; names ``what``.
    """
    end, pause = time.monotonic() + seconds, every
    while not (answer := found()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)
        pause = min(1.2 * pause, max(every, _PAUSE))
    return answer


@dataclass
class Server:
    """A process with a log file, that can be stopped, frozen and started again.

    Attributes:
        name: What messages and the log's name call it.
        command: Program and arguments.
        log: What it wrote to standard output and error, over all its starts.
        environment: All of its environment.
        group: The process group that it joins.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    group: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again after :meth:`stop`."""
        if self.running:
            raise ServerFailed(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.log.parent,
                process_group=self.group,
            )

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        if self.process is None:
            raise ServerFailed(f"{self.name} was not started")
        return self.process.pid

    def usage(self) -> tuple[int, float]:
        """Return resident bytes now, and CPU seconds since the last start."""
        process = psutil.Process(self.pid)
        times = process.cpu_times()
        return process.memory_info().rss, times.user + times.system

    def send(self, number: signal.Signals) -> None:
        """Send a signal: ``SIGSTOP`` makes a server that hangs, ``SIGCONT`` heals it."""
        if self.running:
            os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> int:
        """End it, by force when it takes longer than the seconds, and return its exit code."""
        self.send(number)
        if self.process is None:
            raise ServerFailed(f"{self.name} was not started")
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def ready_when(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until a condition holds while it runs.

        Raises:
            ServerFailed: It ended, or the condition does not hold in time.
        """

        def ready() -> bool:
            if not self.running:
                assert self.process is not None
                raise ServerFailed(f"{self.name} ended with {self.process.returncode}: {self.tail}")
            return condition()

        try:
            wait_for(f"{self.name} is ready", ready, seconds)
        except TimeoutError as error:
            raise ServerFailed(f"{error}: {self.tail}") from error

    def says(self, words: str, seconds: float = 60.0) -> None:
        """Wait until its log has these words; raises as :meth:`ready_when` does."""
        self.ready_when(lambda: words in self.text, seconds)

    @property
    def text(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace") if self.log.is_file() else ""

    @property
    def tail(self) -> str:
        """The log's path and its last lines."""
        return "\n".join([f"{self.log} ends with", *self.text.splitlines()[-LAST_LINES:]])


@dataclass
class Processes:
    """A folder and a process group, of a control plane or of a test; the end leaves neither.

    A context manager; :meth:`begin` makes it.
    """

    folder: Path
    keeper: subprocess.Popen[bytes]
    servers: dict[str, Server] = field(default_factory=dict)

    @classmethod
    def begin(cls, prefix: str = "freehold-control-plane-") -> Processes:
        """Make the folder and start the keeper, which from then on answers for both."""
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            keeper = subprocess.Popen(
                [sys.executable, "-P", str(KEEPER), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, MARKER: str(folder)},
            )
            assert keeper.stdout is not None
            if keeper.stdout.readline() != b"ready\n":
                raise ServerFailed("the keeper of the control plane did not start")
        except BaseException:
            shutil.rmtree(folder)
            raise
        return cls(folder, keeper)

    def start(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> Server:
        """Start a process that ends with the control plane; its log is ``<folder>/<name>.log``.

        Args:
            name: Its name, not yet used in this control plane.
            command: Program and arguments.
            environment: All of its environment; this process's own unless told.
        """
        if name in self.servers:
            raise ServerFailed(f"{name} was started before: use its start() and stop()")
        server = Server(
            name,
            [str(word) for word in command],
            self.folder / f"{name}.log",
            {**(os.environ if environment is None else environment), MARKER: str(self.folder)},
            self.keeper.pid,
        )
        server.start()
        self.servers[name] = server
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill what was started and remove the folder. Harmless when done twice."""
        if self.keeper.stdin is not None and not self.keeper.stdin.closed:
            # a byte, since a forked child may hold the pipe's other end open
            self.keeper.stdin.write(b".")
            self.keeper.stdin.close()
        self.keeper.wait()
        if self.keeper.stdout is not None:
            self.keeper.stdout.close()
        for server in self.servers.values():
            if server.process is not None:
                server.process.wait()
