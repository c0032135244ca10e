"""Shared memory of killed processes is found while they live and removed when they do not."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from freehold.local.shared_memory import remove_segments, segments_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/shm is Linux's")

HOLDER = """
import sys
from multiprocessing import get_context, resource_tracker
from multiprocessing.shared_memory import SharedMemory
# as in a process that is killed together with its tracker
resource_tracker.register = lambda *_: None
segment = SharedMemory(create=True, size=4096)
lock = get_context("spawn").Lock()
print(segment.name, flush=True)
sys.stdin.read()
"""


def test_segments_and_semaphores_of_a_killed_process_are_removed_and_no_others() -> None:
    stranger = SharedMemory(create=True, size=4096)
    lock = get_context("spawn").Lock()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        name = holder.stdout.readline().strip()
        segments = segments_of([holder.pid])
        holder.kill()
    try:
        assert name in segments
        assert any(segment.startswith("sem.") for segment in segments)
        assert stranger.name not in segments
        remove_segments([*segments, "never-there"])
        assert not any(Path("/dev/shm", segment).exists() for segment in segments)
        assert Path("/dev/shm", stranger.name).exists()
    finally:
        stranger.close()
        stranger.unlink()
        del lock


def test_a_process_that_is_gone_has_none() -> None:
    assert segments_of([2**22 + 1]) == set()


@pytest.mark.parametrize("form", ["{}", "../..{}", "x/../../..{}"])
def test_nothing_outside_of_shared_memory_is_removed(form: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    remove_segments([form.format(victim)])
    assert victim.exists()
