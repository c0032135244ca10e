"""Runs ``freehold`` in this process or as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from freehold.cli.main import cli

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "tests" / "data" / "manifests"
EXAMPLES = ROOT / "examples"


def manifest(name: str) -> str:
    return str(MANIFESTS / f"{name}.yaml")


def example(name: str) -> str:
    return str(EXAMPLES / f"{name}.yaml")


def freehold(*args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, args, input=text)


def program(
    *args: str, text: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the console script's function in a process of its own, output piped."""
    return subprocess.run(
        [sys.executable, "-c", "from freehold.cli.main import main; main()", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), **environment},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
