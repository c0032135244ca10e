"""The commands behind `make cluster` and `make cluster-down`, as a test runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.control_plane.pinned import cache_folder
from tests.integration.harness import ROOT


@dataclass(frozen=True)
class Task:
    """The commands, with a cache of their own."""

    cache: Path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.installation", command, "cluster"],
            cwd=ROOT,
            env={**os.environ, "FREEHOLD_CACHE": str(self.cache), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=400,
        )

    def up(self) -> str:
        done = self.run("up")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def task_in(folder: Path) -> Task:
    (folder / "tools").symlink_to(cache_folder() / "tools")
    return Task(folder)


def last_line(output: str) -> str:
    return output.splitlines()[-1]


def folder_of(output: str) -> Path:
    """Return the folder of the cluster that a shell is led to."""
    return Path(last_line(output).removeprefix("export KUBECONFIG=").split()[0]).parent
