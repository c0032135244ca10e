"""Copies of the demo model's files with something wrong about them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

UNKNOWN = "NoSuchForCausalLM"
DEMO = Path("/var/tmp/freehold/gemma-3-270m")


def copied(folder: Path) -> Path:
    """Make a copy of the demo model that shares its large files, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DEMO, folder, copy_function=_link)
    return folder


def with_architecture(folder: Path, name: str) -> Path:
    """Return a copy whose configuration names an architecture."""
    config = copied(folder) / "config.json"
    data = json.loads(config.read_text()) | {"architectures": [name]}
    config.unlink()
    config.write_text(json.dumps(data))
    return folder


def cut_short(folder: Path) -> Path:
    """Return a copy of whose weights the second half is missing."""
    weights = next(copied(folder).glob("*.safetensors"))
    whole = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(whole[: len(whole) // 2])
    return folder


def _link(source: str, target: str) -> None:
    os.link(Path(source).resolve(), target)
