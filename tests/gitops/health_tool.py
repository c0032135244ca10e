"""Judges objects as Flux, Helm and Argo CD do, with the libraries that they use."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.control_plane.go import environment, find_go
from tests.control_plane.pinned import cache_folder

MODULE = Path(__file__).parent / "health"
SCRIPT = Path(__file__).parents[2] / "integrations" / "argocd" / "health.lua"


@dataclass(frozen=True)
class Verdict:
    """What is thought of an object.

    Attributes:
        kstatus: Current, InProgress, Failed or Terminating: Flux, Helm.
        argo: Healthy, Progressing, Degraded or Suspended: Argo CD.
        message: The sentence that Argo CD shows.
    """

    kstatus: str
    argo: str
    message: str


def judge(objects: Sequence[dict[str, Any]]) -> list[Verdict]:
    """Return a verdict for each object."""
    done = subprocess.run(
        [_tool(), SCRIPT],
        input=json.dumps(list(objects)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Verdict(**item) for item in json.loads(done.stdout)]


def _tool() -> Path:
    """Return the program, built once into the cache for what its sources say."""
    digest = hashlib.sha256()
    for path in sorted(MODULE.iterdir()):
        digest.update(path.read_bytes())
    program = cache_folder() / "tools" / f"health-{digest.hexdigest()[:16]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        draft = program.with_suffix(".draft")
        command = [find_go((1, 26)), "build", "-ldflags=-s -w", "-o", draft, "."]
        subprocess.run(command, cwd=MODULE, env=environment(), check=True)
        draft.rename(program)
    return program
