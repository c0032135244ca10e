"""The engine's arguments: what the plan decided, then what the user asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.plan.plan import Plan

# Methods that vLLM 0.29 still runs but refuses unless told so; Meta's own FP8 of Llama 3.1 405B
# is one (``vllm/config/model.py: _verify_quantization``).
_DEPRECATED = frozenset({"fbgemm_fp8"})


def engine_kwargs(
    plan: Plan, args: Mapping[str, Any], revision: str | None = None
) -> dict[str, Any]:
    """Return the engine arguments in a fixed order, the plan's first and the user's by name.

    Nothing that the plan decided is left to the engine's defaults, which differ by device.

    Args:
        plan: The plan.
        args: The user's arguments; none of them may be the plan's.
        revision: Branch, tag or commit of a hub's repository.
    """
    decided: dict[str, Any] = {
        "tensor_parallel_size": plan.layout.tensor,
        "pipeline_parallel_size": plan.layout.pipeline,
        "max_model_len": plan.context_length,
        "max_num_seqs": plan.max_num_seqs,
        "gpu_memory_utilization": plan.settings.memory_utilization,
    }
    if revision is not None:
        decided["revision"] = revision
    if plan.model.checkpoint.quantization in _DEPRECATED:
        decided["allow_deprecated_quantization"] = True
    if plan.accelerator.vendor == "cpu":
        decided |= _without_accelerator(plan)
    return decided | {name: args[name] for name in sorted(args)}


def _without_accelerator(plan: Plan) -> dict[str, Any]:
    """Return what the engine needs when its workers are processes of the host.

    The cache's size is given in bytes: left alone, the engine takes nearly the whole machine.
    """
    return {
        "kv_cache_memory_bytes": int(plan.memory.kv_cache),
        "distributed_executor_backend": "mp",
        "dtype": "bfloat16",
        "enforce_eager": True,
    }
