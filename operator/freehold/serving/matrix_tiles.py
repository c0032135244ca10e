"""What a worker on cores does before its first step: asks Linux for AMX, the CPU's matrix tiles.

Linux lets a process use them only once it has asked (Documentation/arch/x86/xstate.rst). vLLM 0.29
takes kernels with them where the CPU has them (``vllm/v1/attention/backends/cpu_attn.py``) and
leaves asking to oneDNN, which multiplies matrices; prompts of a few tokens are multiplied without
it, and where one of those comes first the worker is killed by an illegal instruction.
"""

from __future__ import annotations

import torch


class MatrixTiles:
    """A worker extension class of vLLM's that adds nothing: workers import it when they start."""


# false where the CPU has none, and then none are used
torch.cpu._init_amx()
