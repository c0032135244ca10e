"""The shared memory of engines, which outlives processes that are killed.

vLLM's workers talk through segments in ``/dev/shm``; each is removed by the process that made it,
if that process ends in peace.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

_FOLDER = Path("/dev/shm")
# An address range, its rights, offset, device and inode, then the name it was mapped under. A
# semaphore gets its lasting name only after that, so the inode is what counts.
_MAPPED = re.compile(r"^\S+ \S+ \S+ \S+ (\d+) +/dev/shm/", re.MULTILINE)


def segments_of(pids: Iterable[int]) -> set[str]:
    """Return the names in ``/dev/shm`` that these processes have mapped; none but on Linux."""
    inodes: set[int] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
            inodes |= {int(inode) for inode in _MAPPED.findall(maps)}
    return {path.name for path in _FOLDER.glob("*") if _inode(path) in inodes}


def _inode(path: Path) -> int | None:
    with contextlib.suppress(OSError):
        return path.stat().st_ino
    return None


def remove_segments(names: Iterable[str]) -> None:
    """Remove segments whose processes have ended; those that are gone already are no fault.

    A name that leads out of ``/dev/shm`` is passed over.
    """
    for name in names:
        if Path(name).name == name:
            with contextlib.suppress(OSError):
                (_FOLDER / name).unlink()
