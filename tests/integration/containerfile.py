"""A Containerfile's instructions, and a run of its build without a container engine.

Named as what it is: the same commands in the same order, under a folder instead of a root file
system. Layers, users and the base image's own contents are not imitated.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """A stage: its name, empty for the last one, and its instructions with their arguments."""

    name: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, instruction: str) -> list[str]:
        """Return the arguments of each instruction of this kind."""
        return [argument for kind, argument in self.instructions if kind == instruction]


def read_stages(text: str) -> list[Stage]:
    """Return the stages of a Containerfile; what stands before the first is left out."""
    stages: list[Stage] = []
    for kind, argument in _instructions(text):
        if kind == "FROM":
            stages.append(Stage(argument.partition(" AS ")[2], ()))
        elif stages:
            last = stages.pop()
            stages.append(Stage(last.name, (*last.instructions, (kind, argument))))
    return stages


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    for line in joined.splitlines():
        if line.strip():
            kind, _, argument = line.partition(" ")
            yield kind, re.sub(r"\s+", " ", argument.strip())


@dataclass(frozen=True)
class Sandbox:
    """A folder that stands for the root of the image's file system.

    Attributes:
        root: The folder; an environment of this Python stands for the base image in ``base``.
        context: The folder that the build is sent.
    """

    root: Path
    context: Path

    @classmethod
    def begin(cls, root: Path, context: Path) -> Sandbox:
        """Make the stand-in of the base image."""
        venv.create(root / "base", with_pip=True)
        # venv makes python3; the images of Python have python too
        assert (root / "base" / "bin" / "python").exists()
        return cls(root, context)

    def build(self, stage: Stage) -> None:
        """Do what the stage's instructions say.

        Raises:
            AssertionError: A command failed; carries its output.
        """
        folder = self.root
        environment = dict(self.environment)
        for kind, argument in stage.instructions:
            if kind == "WORKDIR":
                folder = self._inside(argument)
                folder.mkdir(parents=True)
            elif kind == "ENV":
                environment |= dict(pair.split("=", 1) for pair in shlex.split(argument))
            elif kind == "COPY":
                self._copy(argument.split(), folder)
            elif kind == "RUN":
                self._run(argument, folder, environment)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of a command: where packages come from, and the base image's path."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return {**kept, "PATH": f"{self.root}/base/bin:/usr/bin:/bin"}

    def _inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _copy(self, words: list[str], folder: Path) -> None:
        *sources, target = words
        for source in sources:
            path, place = self.context / source, folder / target
            if path.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, place, ignore=ignored)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)

    def _run(self, command: str, folder: Path, environment: Mapping[str, str]) -> None:
        here = command.replace("/opt/", f"{self.root}/opt/")
        done = subprocess.run(
            ["/bin/sh", "-ec", here], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def ignored_by(patterns: list[str], path: str) -> bool:
    """Return whether a .containerignore of ``*`` and exceptions keeps a path out of the build."""
    assert patterns[0] == "*"
    allowed = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return not any(path == it or path.startswith(f"{it}/") for it in allowed)
