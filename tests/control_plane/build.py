"""Builds the pinned tools once into a cache outside the tree.

``python -m tests.control_plane.build`` builds them all.

Safe with several builders at once: the second waits for the first and finds its result. A build
appears whole or not at all, since it is made beside its place and renamed into it.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tests.control_plane.go import environment, find_go
from tests.control_plane.pinned import MODULES, NODE_MODULES, Module

LAST_LINES = 25
# a line of progress at least this often where the output is no terminal
SECONDS_BETWEEN_LINES = 20.0


class BuildFailed(RuntimeError):
    """A tool does not build; the message carries the last lines that Go wrote."""


def ensure(modules: Sequence[Module] = MODULES, output: TextIO | None = None) -> None:
    """Build what is not in the cache yet.

    Args:
        modules: What is wanted.
        output: Where progress goes; standard error unless told.

    Raises:
        BuildFailed: Go could not build a tool.
        GoMissing: There is no Go that is new enough.
    """
    output = output or sys.stderr
    missing = [module for module in modules if not module.is_built]
    for number, module in enumerate(missing, 1):
        with _lock(module, output):
            # another builder may have been faster
            if not module.is_built:
                _build(
                    module, f"{module.name} {module.version} ({number} of {len(missing)})", output
                )


@contextmanager
def _lock(module: Module, output: TextIO) -> Iterator[None]:
    module.built.parent.mkdir(parents=True, exist_ok=True)
    with (module.built.parent / f"{module.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            output.write(f"tools: {module.name}: another process builds it; waiting\n")
            output.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(module: Module, title: str, output: TextIO) -> None:
    go = find_go(module.go_version)
    with tempfile.TemporaryDirectory(dir=module.built.parent, prefix=f".{module.name}-") as made:
        draft = Path(made) / "draft"
        draft.mkdir()
        _run(
            [str(go), "build", "-v", f"-ldflags={module.linker_flags}", "-o", f"{draft}/", "tool"],
            module,
            _Progress(title, output),
        )
        for name, built_as in module.programs.items():
            (draft / built_as).rename(draft / name)
        _keep_assets(go, module, draft)
        draft.rename(module.built)


def _run(command: list[str], module: Module, progress: _Progress) -> None:
    tail: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command,
        cwd=module.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                # with -v Go names each package as it compiles it; all else is something to show
                if " " in line:
                    tail.append(line)
                progress.step(line.strip())
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise BuildFailed(f"{module.name} does not build (in {module.folder}):\n{''.join(tail)}")
    progress.end()


def _keep_assets(go: Path, module: Module, draft: Path) -> None:
    if not module.assets:
        return
    found = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", module.source],
        cwd=module.folder,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    for asset in module.assets:
        for path in sorted(Path(found.stdout.strip(), asset).glob("*.yaml")):
            target = draft / asset / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


class _Progress:
    """Says what is built and for how long: in place on a terminal, else in a line now and then."""

    def __init__(self, title: str, output: TextIO) -> None:
        self.title, self.output = title, output
        self.start = self.said = time.monotonic()
        self.packages = 0
        self._say("building")

    def step(self, line: str) -> None:
        self.packages += " " not in line
        now = time.monotonic()
        if now - self.said >= (0.2 if self.output.isatty() else SECONDS_BETWEEN_LINES):
            self.said = now
            self._say(f"{self.packages} packages compiled, {now - self.start:.0f} s")

    def end(self) -> None:
        self._say(f"built in {time.monotonic() - self.start:.0f} s", last=True)

    def _say(self, words: str, *, last: bool = False) -> None:
        line = f"tools: {self.title}: {words}"
        if self.output.isatty():
            self.output.write(f"\r\033[K{line}" + "\n" * last)
        else:
            self.output.write(f"{line}\n")
        self.output.flush()


if __name__ == "__main__":
    try:
        ensure((*MODULES, *NODE_MODULES))
    except RuntimeError as error:
        sys.exit(str(error))
