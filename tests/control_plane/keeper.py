"""Ends a control plane however its owner ended: a process that waits at the end of a pipe.

It leads the process group that all servers join, and lives outside its owner's. When the owner
closes the pipe, by a call, an exception, Ctrl-C or ``kill -9``, the keeper kills the group and
removes the folder. There is no other way in which a control plane ends, so the one that matters
after a crash is the one that every test runs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

# names what is to be put back, where servers change what outlives them
UNDO = "undo.json"
# what a person or a terminal may send: the end comes by the pipe alone
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(folder: Path) -> None:
    """Wait for the end of the owner, then leave nothing behind."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.buffer.read(1)
    while others := _group():
        for process in others:
            # data is thrown away with the folder, so there is nothing to end gracefully for
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.01)
    if (folder / UNDO).exists():
        _undo(**json.loads((folder / UNDO).read_text()))
    shutil.rmtree(folder, ignore_errors=True)


def _undo(files: dict[str, str], cgroups: list[str], interfaces: list[str]) -> None:
    """Put files back as they were, and remove cgroups with all that runs in them.

    Network interfaces would go with their namespace, but connections that nobody has closed can
    keep that for minutes.
    """
    for name, content in files.items():
        if Path(name).read_text() != content:
            Path(name).write_text(content)
    while found := [Path(it) for it in cgroups if Path(it).is_dir()]:
        for top in found:
            for group in [*sorted(top.glob("**/"), reverse=True)]:
                _empty(group)
        time.sleep(0.01)
    for name in interfaces:
        subprocess.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL)


def _empty(group: Path) -> None:
    """Kill what runs in a cgroup, and remove it where nothing is left."""
    with suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        group.rmdir()


def _group() -> list[psutil.Process]:
    """Return the other processes of the group that still run."""
    own, found = os.getpid(), []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            same = process.pid != own and os.getpgid(process.pid) == own
            if same and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
