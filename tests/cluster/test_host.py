"""The machine that carried a node is as before, however the node ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.control_plane.processes import wait_for
from tests.node.host_state import differences, state_of_host

HOLD = """
import time
from tests.node.images import Builder
from tests.node.node import RealNode
with RealNode(images=[Builder().pause()]) as node:
    print(node.plane.folder, flush=True)
    {then}
"""
ENDS = {
    "by itself": ("pass", None),
    "by an error": ("raise SystemExit(3)", None),
    "killed": ("time.sleep(600)", signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_node_leaves_the_machine_as_it_was(end: str) -> None:
    then, number = ENDS[end]
    before = state_of_host()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(then=then)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        if number is not None:
            os.kill(holder.pid, number)
    wait_for("its folder is gone", lambda: not folder.exists(), 30)
    assert differences(before, state_of_host()) == {}
