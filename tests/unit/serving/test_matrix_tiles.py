"""A worker on cores may use the CPU's matrix tiles from its first step on."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: what a process was given once is never taken back.
_ASK = """
import ctypes, sys
import torch
if len(sys.argv) > 1:
    import freehold.serving.matrix_tiles
given = ctypes.c_uint64()
ctypes.CDLL(None).syscall(158, 0x1022, ctypes.byref(given))  # arch_prctl(ARCH_GET_XCOMP_PERM)
print(torch.cpu._is_amx_tile_supported(), bool(given.value & 1 << 18))  # XFEATURE_XTILE_DATA
"""


def asked(*arguments: str) -> tuple[str, str]:
    command = [sys.executable, "-c", _ASK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    has, may = done.stdout.split()
    return has, may


def test_tiles_may_be_used_wherever_the_cpu_has_them() -> None:
    has, may = asked("the module")
    assert may == has


def test_nobody_asks_before() -> None:
    _, may = asked()
    assert may == "False"
