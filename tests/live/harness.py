"""Runs the real ``freehold run`` in a process of its own and watches what it says and leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from freehold.serving.autoscaling.decision_log import log_name

FREEHOLD = [str(Path(sys.executable).with_name("freehold")), "run"]
READY_SECONDS = 420.0
# What a Ray head, an engine or HAProxy looks like in a list of processes.
RAY_FAMILY = re.compile(r"ray::|raylet|gcs_server|haproxy|VLLM::|ray/dashboard|ray-dashboard")


def manifest(folder: Path, name: str, source: Path, **spec: Any) -> Path:
    """Write a manifest for the cores of this machine and return its path."""
    import yaml

    body: dict[str, Any] = {
        "model": {"source": f"file://{source}", "contextLength": 512},
        "workload": {"concurrentRequests": 4, "promptTokens": 64, "outputTokens": 64},
        "hardware": {"candidates": [{"name": "cores", "accelerator": "cpu"}]},
    }
    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": body | spec,
    }
    path = folder / f"{name}.yaml"
    # replaced at once, since a running session reads it at any moment
    draft = path.with_suffix(".draft")
    draft.write_text(yaml.safe_dump(data, sort_keys=False))
    draft.replace(path)
    return path


def eventually(what: str, condition: Callable[[], Any], seconds: float) -> Any:
    """Wait until the condition holds and return what it returned; fail with ``what``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.25)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass(frozen=True)
class Member:
    """A process of a run, with the name and the command line it had when it was found."""

    process: psutil.Process
    name: str
    command: list[str]


@dataclass
class Run:
    """One ``freehold run``; leaving the context stops it with Ctrl-C."""

    arguments: list[str]
    program: list[str] = field(default_factory=lambda: list(FREEHOLD))
    environment: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.before, self.memory = ray_processes(), shared_memory()
        self.process = subprocess.Popen(
            [*self.program, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            sys.stderr.write(f"--- what freehold run said ---\n{self.text}\n")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def says(self, words: str, seconds: float = READY_SECONDS) -> None:
        def said() -> bool:
            if words in self.text:
                return True
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.text}"
            return False

        eventually(f"it says {words!r}", said, seconds)

    def stop(self) -> int:
        """Press Ctrl-C and return the exit code; kills what does not end in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        self.reader.join(10)
        return code

    def left_behind(self) -> set[str]:
        """Return the processes and the shared memory that were not there before this run."""
        processes = {words for pid, words in ray_processes().items() if pid not in self.before}
        return processes | (shared_memory() - self.memory)

    def family(self) -> list[Member]:
        """Return what this run started and what still lived when it was looked at."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found.append(Member(process, process.name(), process.cmdline()))
        return found


def scaling_log(run: Run, model: str) -> Path:
    """Return the log of scaling decisions that this run's controller writes."""
    (folder,) = {
        Path(option.removeprefix("--temp-dir="))
        for member in run.family()
        for option in member.command
        if option.startswith("--temp-dir=")
    }
    (log,) = folder.glob(f"session_2*/logs/serve/{log_name(model)}")
    return log


def decisions(log: Path) -> list[dict[str, Any]]:
    """Return the lines of a log of scaling decisions."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def shared_memory() -> set[str]:
    return {str(path) for path in Path("/dev/shm").glob("*")}


def ray_processes() -> dict[int, str]:
    found = {}
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if RAY_FAMILY.search(words) and "pytest" not in words:
            found[process.info["pid"]] = words[:120]
    return found


def complete(
    url: str,
    model: str,
    *,
    tokens: int = 8,
    seconds: float = 300.0,
    key: str = "",
    client: httpx.Client | None = None,
    body_after: float = 0.0,
) -> httpx.Response:
    """Ask for so many tokens; the body follows the headers after so many seconds."""
    body = {
        "model": model,
        "prompt": "Once upon a time",
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
    }
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content))}
    headers |= {"authorization": f"Bearer {key}"} if key else {}
    with nullcontext(client) if client else httpx.Client(trust_env=False) as used:
        return used.post(
            f"{url}/completions",
            headers=headers,
            content=late(content, body_after) if body_after else content,
            timeout=seconds,
        )


def late(content: bytes, seconds: float) -> Iterator[bytes]:
    """Yield a body as a client does that first sends its headers, over a network that is slow."""
    time.sleep(seconds)
    yield content


@contextmanager
def load_on(
    url: str,
    model: str,
    clients: int,
    tokens: int = 200,
    body_after: float = 0.0,
    key: str = "",
) -> Iterator[list[int | str]]:
    """Keep so many clients asking; yields the growing list of status codes, or what broke."""
    answers: list[int | str] = []

    def ask(client: httpx.Client) -> None:
        answers.append(
            outcome(url, model, tokens=tokens, client=client, body_after=body_after, key=key)
        )

    with asking(clients, ask):
        yield answers


def outcome(url: str, model: str, **options: Any) -> int | str:
    """Return the status code of a completion, or what broke; takes what ``complete`` takes."""
    try:
        return complete(url, model, **options).status_code
    except httpx.HTTPError as error:
        return repr(error)


@contextmanager
def asking(clients: int, ask: Callable[[httpx.Client], None]) -> Iterator[None]:
    """Have so many clients call ``ask`` again and again until the context is left."""
    stop = threading.Event()

    def repeat() -> None:
        # one connection for each: a new client for every request would be the bottleneck, and
        # the engine, not the client, is to be loaded
        with httpx.Client(trust_env=False) as client:
            while not stop.is_set():
                ask(client)

    threads = [threading.Thread(target=repeat, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(300)
