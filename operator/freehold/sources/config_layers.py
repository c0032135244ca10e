"""Reads from a config.json which layers look back only so far, and which have experts."""

from __future__ import annotations

from freehold.api.architecture import Experts, LocalAttention
from freehold.sources.config_defaults import FULL_LAYER_EVERY
from freehold.sources.config_fields import ConfigFields
from freehold.sources.config_kinds import LOCAL_LAYERS


def local_attention(fields: ConfigFields, layers: int, context: int) -> LocalAttention | None:
    """Return the sliding-window or chunked layers; None where every layer sees everything."""
    sliding = fields.optional("sliding_window", least=0) or 0
    # The Qwen types write a window that holds only where a second field switches it on.
    switched = fields.text("model_type").startswith(("qwen2", "qwen3", "smollm3"))
    if not fields.flag("use_sliding_window", default=not switched):
        sliding = 0
    chunk = fields.optional("attention_chunk_size", least=0) or 0
    window = max(sliding, chunk)
    if not 0 < window < context:
        return None
    types = fields.items("layer_types")
    if types:
        count = _typed(fields, types, layers)
    else:
        count = _chunked(fields, layers) if chunk else _sliding(fields, layers)
    return LocalAttention(window=window, layers=count) if count > 0 else None


def _typed(fields: ConfigFields, types: list[object], layers: int) -> int:
    # A list may go on beyond num_hidden_layers, over layers for multi-token prediction.
    if len(types) < layers:
        fields.fault("layer_types", f"{len(types)} entries", f"{layers}, one for each layer")
    return sum(1 for name in types[:layers] if name in LOCAL_LAYERS)


def _chunked(fields: ConfigFields, layers: int) -> int:
    """Return the chunked layers of Llama 4: those with rotary embeddings, three of four."""
    rotary = fields.items("no_rope_layers")
    if rotary:
        return sum(1 for value in rotary[:layers] if value)
    every = fields.count("no_rope_layer_interval", "nope_layer_interval", default=4)
    return layers - layers // every


def _sliding(fields: ConfigFields, layers: int) -> int:
    pattern = fields.get("sliding_window_pattern", "_sliding_window_pattern")
    if isinstance(pattern, str) and pattern:
        return sum(1 for i in range(layers) if pattern[i % len(pattern)] == "L")
    kind = fields.text("model_type")
    if kind.startswith(("qwen2", "qwen3")):
        return max(0, layers - fields.count("max_window_layers", default=layers))
    every = FULL_LAYER_EVERY.get(kind, 0)
    every = fields.count("sliding_window_pattern", "_sliding_window_pattern", default=every)
    return layers - layers // every if every else layers


def experts(fields: ConfigFields, layers: int, dense_width: int) -> Experts | None:
    """Return the mixture-of-experts part; None for a dense model."""
    names = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    count = fields.optional(*names, least=0) or 0
    if count < 2 or not fields.flag("enable_moe_block", default=True):
        return None
    having = _mixture_layers(fields, layers)
    if having < 1:
        return None
    width = fields.count(
        "moe_intermediate_size", "moe_ffn_hidden_size", "intermediate_size", default=dense_width
    )
    per_token = fields.count(
        "num_experts_per_tok", "experts_per_token", "moe_k", "moe_topk", "top_k_experts"
    )
    if per_token > count:
        fields.fault("num_experts_per_tok", str(per_token), f"at most the {count} experts")
    return Experts(
        count=count,
        per_token=per_token,
        intermediate_size=width,
        layers=having,
        shared=_shared(fields, width),
    )


def _shared(fields: ConfigFields, width: int) -> int:
    """Return the shared experts, in units of a routed expert's width."""
    names = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")
    number = fields.optional(*names, least=0)
    if number is not None:
        return number
    sizes = ("shared_expert_intermediate_size", "shared_intermediate_size")
    size = fields.optional(*sizes, least=0)
    if size is not None:
        return -(-size // width)
    # Llama 4 has one in each mixture layer and no field for it.
    return 1 if fields.text("model_type").startswith("llama4") else 0


def _mixture_layers(fields: ConfigFields, layers: int) -> int:
    """Return how many layers have experts, from whichever field says so."""
    named = fields.items("moe_layers")
    if named is not None:
        return len({i for i in named if isinstance(i, int) and 0 <= i < layers})
    types = fields.items("mlp_layer_types")
    if types:
        return sum(1 for name in types[:layers] if name == "sparse")
    frequency = fields.get("moe_layer_freq")
    if isinstance(frequency, list):
        return sum(1 for value in frequency[:layers] if value)
    return sum(1 for i in range(layers) if _has_experts(fields, i, layers))


def _has_experts(fields: ConfigFields, layer: int, layers: int) -> bool:
    """Return whether one layer has experts, by the steps and ends that families write."""
    only_dense = fields.get("mlp_only_layers")
    if isinstance(only_dense, list) and layer in only_dense:
        return False
    names = ("interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_interval")
    step = fields.optional(*names, least=0)
    if step is not None and (step == 0 or (layer + 1) % step):
        return False
    first = fields.optional("first_k_dense_replace", "moe_layer_start_index", least=0) or 0
    last = fields.get("moe_layer_end_index")
    if not isinstance(last, int) or last < 0:
        last = layers - 1
    frequency = fields.optional("moe_layer_freq") or 1
    return first <= layer <= last and layer % frequency == 0
