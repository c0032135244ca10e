"""Engine arguments that bear on the plan, and those that the plan keeps for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from freehold.api.faults import Fault
from freehold.api.scalars import whole_number

DEFAULT_MEMORY_UTILIZATION = 0.9
# vLLM 0.29's largest default for a server (devices of 160 GiB and more); fewer only help.
DEFAULT_BATCHED_TOKENS = 16384
_SIXTEEN_BITS = frozenset({"auto", "float16", "bfloat16"})
# What workers on bare cores always run with; another value beside it would not be honoured.
DECIDED_ON_CORES: Mapping[str, Any] = {"dtype": "bfloat16", "enforce_eager": True}

REMOVE = "Remove it from the arguments."
_SPLIT = "spec.hardware.candidates[].parallelism"
_PLACED = f"Freehold places the workers; {_SPLIT}.pipeline spreads a replica over nodes"
_NO_DATA_PARALLEL = (
    "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more"
    " replicas"
)
_NO_CONTEXT_PARALLEL = f"context parallelism is not offered; {_SPLIT} spreads a model over devices"
_CACHE_IS_PLANNED = (
    "the planner sizes the KV cache; spec.workload and spec.model.contextLength say what it must "
    "hold, gpu_memory_utilization how much of a device the engine may take"
)
_CONFIG_IS_READ = "the plan follows the checkpoint's config.json; change the architecture there"
_ONE_PROCESS = "Freehold starts the server's processes; spec.replicas says how many replicas"

# Arguments that the spec has a field for, that follow from the plan, or that would change under
# its hands what it has counted. Each with what to do instead.
OWNED_BY_PLAN: Mapping[str, str] = {
    "tensor_parallel_size": f"{_SPLIT}.tensor sets it",
    "pipeline_parallel_size": f"{_SPLIT}.pipeline sets it",
    "max_model_len": "spec.model.contextLength sets it",
    "model": "spec.model.source names the weights",
    "model_weights": "spec.model.source names the weights",
    "served_model_name": "spec.model.servedName sets it",
    "revision": "spec.model.revision sets it",
    "distributed_executor_backend": "Freehold sets it for the hardware",
    "prefill_context_parallel_size": _NO_CONTEXT_PARALLEL,
    "decode_context_parallel_size": _NO_CONTEXT_PARALLEL,
    "data_parallel_size": _NO_DATA_PARALLEL,
    "data_parallel_size_local": _NO_DATA_PARALLEL,
    "data_parallel_rank": _NO_DATA_PARALLEL,
    "data_parallel_start_rank": _NO_DATA_PARALLEL,
    "data_parallel_address": _NO_DATA_PARALLEL,
    "data_parallel_rpc_port": _NO_DATA_PARALLEL,
    "data_parallel_backend": _NO_DATA_PARALLEL,
    "data_parallel_external_lb": _NO_DATA_PARALLEL,
    "data_parallel_hybrid_lb": _NO_DATA_PARALLEL,
    "data_parallel_multi_port_external_lb": _NO_DATA_PARALLEL,
    "data_parallel_supervisor_port": _NO_DATA_PARALLEL,
    "nnodes": _PLACED,
    "node_rank": _PLACED,
    "master_addr": _PLACED,
    "master_port": _PLACED,
    "device_ids": "Ray gives each worker its device; spec.hardware.candidates[] chooses the kind",
    "_api_process_count": _ONE_PROCESS,
    "_api_process_rank": _ONE_PROCESS,
    "kv_cache_memory_bytes": _CACHE_IS_PLANNED,
    "num_gpu_blocks_override": _CACHE_IS_PLANNED,
    "hf_overrides": _CONFIG_IS_READ,
    "hf_config_path": _CONFIG_IS_READ,
    "mm_ipc_gpu_memory_gb": "memory that the server's other processes take of a device is not "
    "counted",
    "spec_model": "a draft model's memory is not counted; "
    "speculative_config: {method: ngram} needs none",
}


@dataclass(frozen=True, slots=True)
class OwnedWithin:
    """A field of an engine argument that takes memory which nothing here counts.

    Attributes:
        argument: Name of the argument, which is a mapping.
        field: Name of the field in it.
        harmless: The one value that takes none.
        allowed: What is allowed, in words.
        hint: What to do.
    """

    argument: str
    field: str
    harmless: int | None
    allowed: str
    hint: str


OWNED_WITHIN = (
    OwnedWithin(
        "speculative_config",
        "model",
        None,
        "no value here; a draft model's memory is not counted, so only methods without one",
        "Remove it and write a method such as ngram.",
    ),
    OwnedWithin(
        "eplb_config",
        "num_redundant_experts",
        0,
        "0; the weights of experts that are kept more than once are not counted",
        REMOVE,
    ),
)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine arguments say to the planner.

    Attributes:
        memory_utilization: Share of a device's memory that the engine may take, in (0, 1].
        kv_cache_dtype: The engine's name for the KV cache's number format.
        dtype: The engine's name for the number format of plain weights, one of 16 bits.
        max_num_seqs: Sequences that run at once; None to let the plan decide.
        batched_tokens: Most tokens in one step.
        expert_parallel: Whether experts are spread whole over the devices.
        windows_kept_whole: Whether layers that attend to a window keep every token all the same.
        unquantized_layers: Layers whose cache stays at 16 bits, by the engine's patterns.
        lora: Whether adapters are loaded beside the model, which nothing here counts.
        given: Which of these the user wrote, for printing.
    """

    memory_utilization: float = DEFAULT_MEMORY_UTILIZATION
    kv_cache_dtype: str = "auto"
    dtype: str = "auto"
    max_num_seqs: int | None = None
    batched_tokens: int = DEFAULT_BATCHED_TOKENS
    expert_parallel: bool = False
    windows_kept_whole: bool = False
    unquantized_layers: tuple[str, ...] = ()
    lora: bool = False
    given: tuple[str, ...] = ()

    @property
    def kv_bytes(self) -> int:
        """Return the bytes of one number in the KV cache, rounded up to a whole byte.

        Where some layers stay at 16 bits all are counted so: the engine pads the pages of one kind
        to those of the other, and its patterns do not tell how many layers they match.
        """
        wide = self.kv_cache_dtype in _SIXTEEN_BITS or self.unquantized_layers
        return 2 if wide else 1


def read_engine_settings(
    args: Mapping[str, Any], path: str = "spec.engine.args"
) -> tuple[EngineSettings, tuple[Fault, ...]]:
    """Return the settings in ``args`` and all faults among those that the planner reads."""
    faults = [*owned_faults(args, path)]
    values: dict[str, Any] = {}
    for name, (field, check, allowed) in _READ.items():
        if name not in args:
            continue
        value = whole_number(args[name]) if check is _is_count else args[name]
        if check(value):
            values[field] = tuple(value) if isinstance(value, list) else value
        else:
            faults.append(Fault(f"{path}.{name}", repr(value), allowed))
    given = tuple(name for name in _READ if name in args)
    lora = args.get("enable_lora") is True
    settings = EngineSettings(**values, lora=lora, given=given)
    if settings.max_num_seqs is not None and not faults:
        faults += batch_faults(settings, settings.max_num_seqs, f"{path}.max_num_seqs", path)
    return settings, tuple(faults)


def owned_faults(args: Mapping[str, Any], path: str = "spec.engine.args") -> Iterator[Fault]:
    """Yield a fault for each argument that the plan owns, however its name is spelt.

    The chart's admission policy says the same; it is generated from the lists that are read here.
    """
    for name, value in args.items():
        reason = OWNED_BY_PLAN.get(argument_name(name))
        if reason is not None:
            yield Fault(f"{path}.{name}", repr(value), owned_allows(reason), REMOVE)
    for item in OWNED_WITHIN:
        inner = args.get(item.argument)
        if not isinstance(inner, Mapping):
            continue
        value = inner.get(item.field, item.harmless)
        if value != item.harmless:
            where = f"{path}.{item.argument}.{item.field}"
            yield Fault(where, repr(value), item.allowed, item.hint)


def owned_allows(reason: str) -> str:
    """Return what is allowed where the plan owns an argument."""
    return f"no value here; {reason}"


def argument_name(written: str) -> str:
    """Return the engine's name of an argument that may be written as on its command line."""
    return written.lstrip("-").replace("-", "_")


def batch_faults(
    settings: EngineSettings, sequences: int, asked_by: str, path: str = "spec.engine.args"
) -> tuple[Fault, ...]:
    """Return the fault of a step too small for one token of each sequence, if it is.

    vLLM refuses such a pair when it starts
    (``vllm/config/scheduler.py: SchedulerConfig.verify_max_model_len``).

    Args:
        settings: What the engine arguments say.
        sequences: Sequences that are to run at once.
        asked_by: The field that asks for so many.
        path: Path of the engine arguments.
    """
    if sequences <= settings.batched_tokens:
        return ()
    name = f"{path}.max_num_batched_tokens"
    if "max_num_batched_tokens" in settings.given:
        allowed = f"at least {sequences} ({asked_by}): a step takes a token of each request"
        return (Fault(name, str(settings.batched_tokens), allowed),)
    allowed = f"at most {settings.batched_tokens}, or {name} of at least {sequences} beside it"
    return (Fault(asked_by, str(sequences), allowed),)


def contradiction(name: str, value: Any, decided: Any, where: str) -> Fault:
    """Return the fault of an argument that says another thing than Freehold sets."""
    allowed = f"{decided!r}, which Freehold sets for {where}"
    return Fault(f"spec.engine.args.{name}", repr(value), allowed, REMOVE)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_sixteen_bits(value: Any) -> bool:
    return value in ("auto", "half", "float16", "bfloat16")


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_READ = {
    "gpu_memory_utilization": ("memory_utilization", _is_share, "more than 0 and at most 1"),
    "kv_cache_dtype": ("kv_cache_dtype", _is_text, "a number format such as auto or fp8"),
    "dtype": (
        "dtype",
        _is_sixteen_bits,
        "auto, half, float16 or bfloat16, since the plan counts 16 bits",
    ),
    "max_num_seqs": ("max_num_seqs", _is_count, "a whole number of at least 1"),
    "max_num_batched_tokens": ("batched_tokens", _is_count, "a whole number of at least 1"),
    "enable_expert_parallel": ("expert_parallel", _is_flag, "true or false"),
    "disable_hybrid_kv_cache_manager": ("windows_kept_whole", _is_flag, "true or false"),
    "kv_cache_dtype_skip_layers": ("unquantized_layers", _are_texts, "a list of layer patterns"),
}
