"""Sentences of the planner: numbers first, then what the user can do."""

from __future__ import annotations

from freehold.api.architecture import ModelDescription
from freehold.api.scalars import GIB
from freehold.plan.accelerator import Accelerator
from freehold.plan.demand import Demand
from freehold.plan.device_memory import DeviceMemory
from freehold.plan.engine_settings import DEFAULT_MEMORY_UTILIZATION, EngineSettings
from freehold.plan.kv_cache import KVCacheCost
from freehold.plan.layout import Layout


def gib(size: float) -> str:
    """Return bytes as GiB with one decimal, two below 1 GiB."""
    value = size / GIB
    return f"{value:.2f} GiB" if abs(value) < 1 else f"{value:.1f} GiB"


def replica(accelerator: Accelerator, layout: Layout) -> str:
    """Return a layout on its hardware, in words."""
    return f"{layout.devices} x {accelerator.name} ({layout})"


def weights_do_not_fit(
    accelerator: Accelerator, settings: EngineSettings, layout: Layout, memory: DeviceMemory
) -> str:
    """Say that weights and overhead alone are too much for a device."""
    share = f"{settings.memory_utilization:.0%} of {gib(memory.total)}"
    return (
        f"{replica(accelerator, layout)}: weights {gib(memory.weights)} and overhead "
        f"{gib(memory.overhead)} on each device are more than the {gib(memory.usable)} "
        f"it may use ({share}){_share_is_low(settings)}"
    )


def _share_is_low(settings: EngineSettings) -> str:
    """Return what to raise first where the user gives the engine less than it takes unasked."""
    share = settings.memory_utilization
    if share >= DEFAULT_MEMORY_UTILIZATION:
        return ""
    default = f"{DEFAULT_MEMORY_UTILIZATION} unless set"
    return f"; raise engine.args.gpu_memory_utilization from {share:g} first ({default})"


def kv_cache_does_not_fit(
    accelerator: Accelerator,
    settings: EngineSettings,
    layout: Layout,
    memory: DeviceMemory,
    cost: KVCacheCost,
    demand: Demand,
) -> str:
    """Say that what weights leave is too little KV cache, and how much would fit."""
    longest = cost.longest(memory.left_for_kv_cache, demand.limit)
    need = demand.bytes_needed(cost)
    context = demand.context or demand.least
    if cost.bytes_for(1, context) >= need:
        asked = f"a context of {context:,} tokens"
        cure = f"lower spec.model.contextLength to {longest:,}" if longest else "take more devices"
    else:
        asked = f"{demand.concurrent} requests of {demand.tokens:,} tokens"
        held = cost.capacity(memory.left_for_kv_cache, demand.tokens) // demand.tokens
        cure = f"lower spec.workload.concurrentRequests to {held}" if held else "take more devices"
    return (
        f"{replica(accelerator, layout)}: {asked} needs {gib(need)} of KV cache on each device "
        f"and weights leave {gib(memory.left_for_kv_cache)}{_share_is_low(settings)}; {cure}"
    )


def what_would_fit(
    layout: Layout | None, accelerator: Accelerator, settings: EngineSettings, weights_fit: bool
) -> str:
    """Say which layout of the same class would fit, or what else could help."""
    if layout is not None:
        pinned = f"parallelism: {{tensor: {layout.tensor}, pipeline: {layout.pipeline}}}"
        return f"{replica(accelerator, layout)} would fit: set {pinned}"
    if weights_fit and settings.kv_bytes > 1 and "fp8-kv" in accelerator.features:
        return "engine.args.kv_cache_dtype: fp8 halves it"
    if accelerator.vendor == "cpu":
        return "take a smaller model, or a class whose workers have more memory"
    return "take a smaller checkpoint (FP8 or FP4) or an accelerator with more memory"


def context_is_too_long(model: ModelDescription, context: int) -> str:
    """Say that the model was not made for so long a context."""
    return (
        f"spec.model.contextLength {context:,} is more than the {model.max_context_length:,} "
        f"tokens that the model was made for; lower it"
    )


def workload_is_longer_than_context(demand: Demand, context: int) -> str:
    """Say that a typical request would be refused by the engine."""
    return (
        f"spec.workload has requests of {demand.tokens:,} tokens (promptTokens + outputTokens), "
        f"more than the context of {context:,}; lower them or raise spec.model.contextLength"
    )


def notes(
    accelerator: Accelerator,
    layout: Layout,
    model: ModelDescription,
    settings: EngineSettings,
    context: int,
    demand: Demand,
    max_num_seqs: int,
) -> tuple[str, ...]:
    """Return what the user should know of a plan that fits."""
    said = []
    if demand.context is None and context < demand.limit:
        said.append(
            f"context length capped to {context:,} of {demand.limit:,} tokens: no more fits; "
            f"set spec.model.contextLength to ask for more"
        )
    tensor, heads = layout.tensor, model.key_value_heads
    if tensor > heads and not model.latent_attention:
        said.append(
            f"{heads} key/value heads over tensor parallel {tensor}: each is kept twice"
            if tensor == 2 * heads
            else f"{heads} key/value heads over tensor parallel {tensor}: each is kept "
            f"{tensor // heads} times"
        )
    if layout.nodes > 1 and tensor > layout.devices_per_node:
        network = "ICI between them" if accelerator.vendor == "google" else "InfiniBand or EFA"
        said.append(f"tensor parallel {tensor} crosses {layout.nodes} nodes: only with {network}")
    said += [f"engine.args.{name} is honoured: {_given(settings, name)}" for name in settings.given]
    if settings.lora:
        said.append(
            "engine.args.enable_lora: the memory of adapters is not counted and the KV cache "
            "will be smaller by it; lower spec.model.contextLength if the engine does not start"
        )
    if max_num_seqs < demand.concurrent:
        waiting = demand.concurrent - max_num_seqs
        said.append(
            f"max_num_seqs {max_num_seqs} is less than spec.workload.concurrentRequests "
            f"{demand.concurrent}: {waiting} of them would wait"
        )
    return tuple(said)


def _given(settings: EngineSettings, name: str) -> str:
    values = {
        "gpu_memory_utilization": settings.memory_utilization,
        "kv_cache_dtype": settings.kv_cache_dtype,
        "dtype": settings.dtype,
        "max_num_seqs": settings.max_num_seqs,
        "max_num_batched_tokens": settings.batched_tokens,
        "enable_expert_parallel": settings.expert_parallel,
        "disable_hybrid_kv_cache_manager": settings.windows_kept_whole,
        "kv_cache_dtype_skip_layers": ", ".join(settings.unquantized_layers) or "none",
    }
    return str(values[name])
