"""The processes of one server under test: start, freeze, measure and end all of them.

Ray scatters processes that outlive their parents. Each inherits its environment, so a mark in it
finds them all, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from freehold.local.shared_memory import remove_segments, segments_of
from path_bench.roles import used_by

_MARK = "FREEHOLD_BENCHMARK"
_STOP_SECONDS = 20.0


class Family:
    """All processes that carry one mark."""

    def __init__(self, log: Path) -> None:
        """Write what they print to ``log``."""
        self.log = log
        self._mark = secrets.token_hex(8)
        self._roots: list[subprocess.Popen[bytes]] = []

    def start(self, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start one process in a session of its own."""
        with self.log.open("ab") as log:
            root = subprocess.Popen(
                command,
                env={**environment, _MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._roots.append(root)
        return root

    def require_alive(self) -> None:
        """Raise RuntimeError with the last words of a server that has ended by itself."""
        for root in self._roots:
            if root.poll() not in (None, 0):
                raise RuntimeError(f"{root.args!r} ended:\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def members(self) -> set[psutil.Process]:
        """Return every living process with our mark, and what descends from one.

        vLLM's forked workers overwrite the memory that holds their environment with their title.
        """
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == self._mark:
                    found |= {process, *process.children(recursive=True)}
        return found

    def freeze(self) -> None:
        """Stop all, so that others have the cores; servers keep their memory and connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let all go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds used so far, by role."""
        return used_by(self.members())

    def listening(self, among: range) -> list[int]:
        """Return the ports of a range on which a member listens, ascending."""
        ports: set[int] = set()
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                for connection in process.net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr:
                        ports.add(connection.laddr.port)
        return sorted(port for port in ports if port in among)

    def ask_to_stop(self) -> None:
        """Ask the processes that were started to end; returns at once."""
        self.thaw()
        for root in self._roots:
            with contextlib.suppress(OSError):
                root.terminate()

    def stop(self) -> None:
        """End everything, by force whatever does not end when it is asked.

        An engine that is ended by force leaves its shared memory, plain vLLM's too.
        """
        segments = segments_of(process.pid for process in self.members())
        self.ask_to_stop()
        for root in self._roots:
            with contextlib.suppress(subprocess.TimeoutExpired):
                root.wait(_STOP_SECONDS)
        for _ in range(3):
            left = list(self.members())
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=5)
        for root in self._roots:
            root.wait(10)
        remove_segments(segments)


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with changes, free of settings that bear on the paths."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "VLLM_", "OMP_", "KMP_")) and name != "PYTHONPATH"
    }
    return kept | changes
