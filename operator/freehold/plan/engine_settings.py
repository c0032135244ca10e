"""Engine arguments that bear on the plan, and those that the plan keeps for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freehold.api.faults import Fault

DEFAULT_MEMORY_UTILIZATION = 0.9
# vLLM 0.29's largest default for a server (devices of 160 GiB and more); fewer only help.
DEFAULT_BATCHED_TOKENS = 16384
_SIXTEEN_BITS = frozenset({"auto", "float16", "bfloat16"})

# Arguments that the spec has a field for, or that follow from the plan.
OWNED_BY_PLAN = {
    "tensor_parallel_size": "spec.hardware.candidates[].parallelism.tensor",
    "pipeline_parallel_size": "spec.hardware.candidates[].parallelism.pipeline",
    "max_model_len": "spec.model.contextLength",
    "model": "spec.model.source",
    "served_model_name": "spec.model.servedName",
    "revision": "spec.model.revision",
    "distributed_executor_backend": "nothing: Freehold chooses it for the hardware",
    "data_parallel_size": "spec.replicas or spec.autoscaling: replicas are the data parallelism",
    "nnodes": "nothing: the plan decides how many nodes a replica spans",
}


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine arguments say to the planner.

    Attributes:
        memory_utilization: Share of a device's memory that the engine may take, in (0, 1].
        kv_cache_dtype: The engine's name for the KV cache's number format.
        max_num_seqs: Sequences that run at once; None to let the plan decide.
        batched_tokens: Most tokens in one step.
        expert_parallel: Whether experts are spread whole over the devices.
        given: Which of these the user wrote, for printing.
    """

    memory_utilization: float = DEFAULT_MEMORY_UTILIZATION
    kv_cache_dtype: str = "auto"
    max_num_seqs: int | None = None
    batched_tokens: int = DEFAULT_BATCHED_TOKENS
    expert_parallel: bool = False
    given: tuple[str, ...] = ()

    @property
    def kv_bytes(self) -> int:
        """Return the bytes of one number in the KV cache, rounded up to a whole byte."""
        return 2 if self.kv_cache_dtype in _SIXTEEN_BITS else 1


def read_engine_settings(
    args: Mapping[str, Any], path: str = "spec.engine.args"
) -> tuple[EngineSettings, tuple[Fault, ...]]:
    """Return the settings in ``args`` and all faults among those that the planner reads."""
    faults = [_owned(path, name, args[name]) for name in args if name in OWNED_BY_PLAN]
    values: dict[str, Any] = {}
    for name, (field, check, allowed) in _READ.items():
        if name not in args:
            continue
        if check(args[name]):
            values[field] = args[name]
        else:
            faults.append(Fault(f"{path}.{name}", repr(args[name]), allowed))
    given = tuple(name for name in _READ if name in args)
    return EngineSettings(**values, given=given), tuple(faults)


def _owned(path: str, name: str, value: Any) -> Fault:
    allowed = f"it is set through {OWNED_BY_PLAN[name]}"
    return Fault(f"{path}.{name}", repr(value), allowed, hint="Remove it from the arguments.")


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_READ = {
    "gpu_memory_utilization": ("memory_utilization", _is_share, "more than 0 and at most 1"),
    "kv_cache_dtype": ("kv_cache_dtype", _is_text, "a number format such as auto or fp8"),
    "max_num_seqs": ("max_num_seqs", _is_count, "a whole number of at least 1"),
    "max_num_batched_tokens": ("batched_tokens", _is_count, "a whole number of at least 1"),
    "enable_expert_parallel": ("expert_parallel", _is_flag, "true or false"),
}
