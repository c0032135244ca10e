"""Ends a control plane however its owner ended: a process that waits at the end of a pipe.

It leads the process group that all servers join, and lives outside its owner's. When the owner
closes the pipe, by a call, an exception, Ctrl-C or ``kill -9``, the keeper kills the group and
removes the folder. There is no other way in which a control plane ends, so the one that matters
after a crash is the one that every test runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

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
    shutil.rmtree(folder, ignore_errors=True)


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
