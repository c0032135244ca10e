"""The engine's arguments: what the plan decided, then what the user asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.errors import ManifestInvalid
from freehold.plan.engine_settings import (
    DECIDED_ON_CORES,
    DEFAULT_BATCHED_TOKENS,
    contradiction,
)
from freehold.plan.plan import Plan
from freehold.render.schema import with_whole_numbers

# Methods that vLLM 0.29 still runs but refuses unless told so; Meta's own FP8 of Llama 3.1 405B
# is one (``vllm/config/model.py: _verify_quantization``).
_DEPRECATED = frozenset({"fbgemm_fp8"})
# vLLM 0.29's smallest default of max_num_batched_tokens for a server, by vendor
# (``vllm/engine/arg_utils.py: get_batch_defaults``).
_SMALLEST_BATCH = {"google": 256}
_SMALLEST_BATCH_ELSEWHERE = 2048
# What is ours unless the user has another: see freehold/serving/matrix_tiles.py.
_BESIDE_ON_CORES = {"worker_extension_cls": "freehold.serving.matrix_tiles.MatrixTiles"}


def engine_kwargs(
    plan: Plan, args: Mapping[str, Any], revision: str | None = None
) -> dict[str, Any]:
    """Return the engine arguments in a fixed order, the plan's first and the user's by name.

    Nothing that the plan decided is left to the engine's defaults, which differ by device, and
    nothing of it is overridden.

    Args:
        plan: The plan.
        args: The user's arguments; whole numbers may be written as floats.
        revision: Branch, tag or commit of a hub's repository.

    Raises:
        ManifestInvalid: An argument says another thing than the plan.
    """
    decided = _decided(plan, revision)
    given = with_whole_numbers(args)
    faults = [
        contradiction(name, given[name], decided[name], f"this model on {plan.accelerator.name}")
        for name in sorted(decided.keys() & given.keys())
        if given[name] != decided[name]
    ]
    if faults:
        raise ManifestInvalid("\n".join(str(fault) for fault in faults))
    beside = _BESIDE_ON_CORES if plan.accelerator.vendor == "cpu" else {}
    return decided | beside | {name: given[name] for name in sorted(given) if name not in decided}


def _decided(plan: Plan, revision: str | None) -> dict[str, Any]:
    decided: dict[str, Any] = {
        "tensor_parallel_size": plan.layout.tensor,
        "pipeline_parallel_size": plan.layout.pipeline,
        "max_model_len": plan.context_length,
        "max_num_seqs": plan.max_num_seqs,
        "gpu_memory_utilization": plan.settings.memory_utilization,
    }
    batch = _batch(plan)
    if batch is not None:
        decided["max_num_batched_tokens"] = batch
    if revision is not None:
        decided["revision"] = revision
    if plan.model.checkpoint.quantization in _DEPRECATED:
        decided["allow_deprecated_quantization"] = True
    if plan.accelerator.vendor == "cpu":
        decided |= _without_accelerator(plan)
    return decided


def _batch(plan: Plan) -> int | None:
    """Return the tokens of a step where the engine's default might be too few to start with.

    vLLM refuses fewer tokens than sequences; twice as many leave prompts room beside answers.
    """
    seqs = plan.max_num_seqs
    smallest = _SMALLEST_BATCH.get(plan.accelerator.vendor, _SMALLEST_BATCH_ELSEWHERE)
    if "max_num_batched_tokens" in plan.settings.given or seqs <= smallest:
        return None
    return max(seqs, min(2 * seqs, DEFAULT_BATCHED_TOKENS))


def _without_accelerator(plan: Plan) -> dict[str, Any]:
    """Return what the engine needs when its workers are processes of the host.

    The cache's size is given in bytes: left alone, the engine takes nearly the whole machine.
    """
    return {
        "kv_cache_memory_bytes": int(plan.memory.kv_cache),
        "distributed_executor_backend": "mp",
        **DECIDED_ON_CORES,
    }
