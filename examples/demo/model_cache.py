"""A folder that is either complete and described by a manifest, or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MANIFEST = "freehold-manifest.json"


class DemoError(Exception):
    """A fault to tell in one sentence: what was found, what is needed, who must act."""


def sha256_of(path: Path) -> str:
    """The SHA-256 digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, recipe: str) -> None:
    """Describe every file of `folder` (size in bytes, SHA-256) in its manifest.

    `recipe` names what made the files, so that a newer recipe makes them again.
    """
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.iterdir())
    }
    text = json.dumps({"recipe": recipe, "files": files}, indent=2)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def fault_in(folder: Path, recipe: str, *, digests: bool = False) -> str | None:
    """Why `folder` is not the complete output of `recipe`, or None when it is.

    Compares sizes, which takes milliseconds; with `digests` it also reads every byte.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        made_by, files = manifest["recipe"], dict(manifest["files"])
        expected = {name: (int(f["bytes"]), str(f["sha256"])) for name, f in files.items()}
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (ValueError, KeyError, TypeError):
        return f"{MANIFEST} cannot be read"
    if made_by != recipe or not expected:
        return f"it was made by another recipe ({made_by})"
    faults = (_file_fault(folder / name, *facts, digests) for name, facts in expected.items())
    return next((fault for fault in faults if fault), None)


def _file_fault(path: Path, size: int, sha256: str, digests: bool) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    if path.stat().st_size != size:
        return f"{path.name} has {path.stat().st_size} bytes, expected {size}"
    if digests and sha256_of(path) != sha256:
        return f"{path.name} has another SHA-256 digest than its manifest"
    return None


def refuse_foreign(folder: Path) -> None:
    """Protect a folder of the user's own from being replaced.

    Raises:
        DemoError: `folder` is a file, or holds files but no manifest.
    """
    if folder.exists() and not folder.is_dir():
        raise DemoError(f"--cache {folder} is a file; name a folder that is new, empty or ours")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise DemoError(
            f"--cache {folder} holds files that this script did not make; name a new folder"
        )


def require_space(folder: Path, needed: int) -> None:
    """Check the free space, in bytes, before minutes are spent.

    Raises:
        DemoError: the file system of `folder` (which must exist) has less than `needed` free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DemoError(
            f"{folder} has {free // 10**6} MB free and {needed // 10**6} MB are needed; "
            "free some space or name another folder with --cache"
        )


@contextmanager
def sole_writer(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of `folder`; `waiting` is called once if another process holds it."""
    with _sibling(folder, "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(folder: Path, recipe: str, fill: Callable[[Path], None]) -> None:
    """Fill a hidden folder beside `folder`, describe it, and rename it into place.

    Must run under `sole_writer`: leftovers of a killed run are then nobody's and are removed.
    The rename is the only moment at which `folder` changes, so a reader sees all or nothing.
    """
    for stale in folder.parent.glob(_sibling(folder, "partial-*").name):
        shutil.rmtree(stale)
    partial = Path(tempfile.mkdtemp(prefix=_sibling(folder, "partial-").name, dir=folder.parent))
    try:
        fill(partial)
        write_manifest(partial, recipe)
        _make_readable(partial)
        if folder.exists():
            folder.rename(partial.with_name(f"{partial.name}-old"))
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(partial.with_name(f"{partial.name}-old"), ignore_errors=True)


def _make_readable(folder: Path) -> None:
    """Let other users read: a serving container seldom runs as the user who made the files."""
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)


def _sibling(folder: Path, suffix: str) -> Path:
    return folder.with_name(f".{folder.name}.{suffix}")


def default_folder(name: str) -> Path:
    """Where the model `name` is kept unless told otherwise (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "freehold" / "models" / name
