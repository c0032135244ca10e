"""What forbids a layout whatever the memory: one function per violation, named for it.

Each returns None, or a sentence that says what is wrong and what would be right.
"""

from __future__ import annotations

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault, counted
from freehold.api.modeldeployment import Parallelism
from freehold.plan.accelerator import Accelerator
from freehold.plan.engine_settings import EngineSettings
from freehold.plan.layout import MAX_PINNED_NODES, Layout, pinned_layout


def _choices(number: int) -> str:
    sizes = [str(n) for n in range(1, min(number, 64) + 1) if number % n == 0]
    return ", ".join(sizes)


def heads_do_not_divide(model: ModelDescription, tensor: int) -> str | None:
    """Refuse a tensor parallel size that does not divide the query heads (a check of vLLM's)."""
    heads = model.attention_heads
    if heads % tensor == 0:
        return None
    return (
        f"tensor parallel {tensor} does not divide the model's "
        f"{counted(heads, 'attention head')}; "
        f"possible sizes: {_choices(heads)}"
    )


def key_value_heads_do_not_divide(model: ModelDescription, tensor: int) -> str | None:
    """Refuse a size that neither divides the KV heads nor is a multiple of them."""
    heads = model.key_value_heads
    if model.latent_attention or heads % tensor == 0 or tensor % heads == 0:
        return None
    return (
        f"tensor parallel {tensor} neither divides the model's {heads} key/value heads "
        f"nor is a multiple of them; take one that does"
    )


def feed_forward_does_not_divide(
    model: ModelDescription, settings: EngineSettings, tensor: int
) -> str | None:
    """Refuse a size that does not divide the feed-forward width, in blocks where it has them."""
    for width, what in _widths(model, settings):
        block = model.checkpoint.block_size or 1
        if width % (block * tensor) and tensor > 1:
            blocks = f"{counted(width // block, 'block')} of {block}"
            units = blocks if block > 1 else counted(width, "column")
            ways = "" if what == "dense" else ", or set engine.args.enable_expert_parallel: true"
            return (
                f"tensor parallel {tensor} does not divide the {units} of the {what} "
                f"feed-forward layers; take a size among {_choices(width // block)}{ways}"
            )
    return None


def _widths(model: ModelDescription, settings: EngineSettings) -> list[tuple[int, str]]:
    """Return the feed-forward widths that tensor parallelism cuts; whole experts are not cut."""
    widths = []
    if model.experts is None or model.experts.layers < model.layers:
        widths.append((model.intermediate_size, "dense"))
    if model.experts is not None and not settings.expert_parallel:
        widths.append((model.experts.intermediate_size, "expert"))
    return widths


def fewer_layers_than_stages(model: ModelDescription, pipeline: int) -> str | None:
    """Refuse more pipeline stages than the model has layers."""
    if pipeline <= model.layers:
        return None
    layers = counted(model.layers, "layer")
    return f"pipeline parallel {pipeline} is more than the model's {layers}"


def parallelism_fault(
    accelerator: Accelerator, parallelism: Parallelism, path: str
) -> Fault | None:
    """Return why no nodes of a class carry a pinned parallelism, whatever the model; or None.

    Args:
        accelerator: The class.
        parallelism: The user's split.
        path: The field that it stands in.
    """
    tensor, largest = parallelism.tensor, accelerator.node_sizes[-1]
    found = f"tensor {tensor}, pipeline {parallelism.pipeline}"
    layout = pinned_layout(accelerator, tensor, parallelism.pipeline)
    node = f"the {counted(largest, 'device')} of a {accelerator.name} node"
    if tensor > largest and not accelerator.joins_nodes:
        why = f"tensor parallel {tensor} is more than {node}, and no fast network joins such nodes"
        allowed = f"tensor parallel up to {largest}, and more devices through pipeline"
        if accelerator.vendor != "cpu":
            allowed += "; or a class whose nodeShapes name an RDMA device in extraResources"
    elif layout is None:
        why = f"tensor parallel {tensor} is no multiple of {node}"
        allowed = f"a multiple of {largest}, or tensor parallel up to {largest}"
    elif layout.nodes > MAX_PINNED_NODES:
        why = f"{layout.devices} devices over {layout.nodes} nodes"
        allowed = f"a replica on up to {MAX_PINNED_NODES} nodes; scale beyond that with replicas"
    else:
        return None
    return Fault(path, f"{found}: {why}", allowed)


def precision_is_not_supported(model: ModelDescription, accelerator: Accelerator) -> str | None:
    """Refuse weights in a format that the device can neither compute in nor unpack."""
    precision = model.checkpoint.precision
    if precision in accelerator.features or f"{precision}-weights" in accelerator.features:
        return None
    able = ", ".join(sorted(name.removesuffix("-weights") for name in _formats(accelerator)))
    return (
        f"{accelerator.name} cannot run {precision} weights (it runs {able}); "
        f"take a checkpoint in one of these or another accelerator"
    )


def _formats(accelerator: Accelerator) -> set[str]:
    return {name for name in accelerator.features if not name.endswith("-kv")}


def kv_cache_format_is_not_supported(
    settings: EngineSettings, accelerator: Accelerator
) -> str | None:
    """Refuse an 8-bit KV cache on a device without it."""
    if not settings.kv_cache_dtype.startswith("fp8") or "fp8-kv" in accelerator.features:
        return None
    return (
        f"{accelerator.name} has no {settings.kv_cache_dtype} KV cache; "
        f"remove engine.args.kv_cache_dtype or take another accelerator"
    )


def layout_violation(
    model: ModelDescription, settings: EngineSettings, layout: Layout
) -> str | None:
    """Return the first violation of a layout by the model's shape."""
    return tensor_violation(model, settings, layout.tensor) or fewer_layers_than_stages(
        model, layout.pipeline
    )


def tensor_violation(model: ModelDescription, settings: EngineSettings, tensor: int) -> str | None:
    """Return the first violation of a tensor parallel size by the model's shape."""
    return (
        heads_do_not_divide(model, tensor)
        or key_value_heads_do_not_divide(model, tensor)
        or feed_forward_does_not_divide(model, settings, tensor)
    )


def hardware_violation(
    model: ModelDescription, settings: EngineSettings, accelerator: Accelerator
) -> str | None:
    """Return the first violation of a class by the number formats that are asked for."""
    return precision_is_not_supported(model, accelerator) or kv_cache_format_is_not_supported(
        settings, accelerator
    )
