"""Describes a model from its config.json; pure: the file is already in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.api.architecture import (
    Checkpoint,
    LatentAttention,
    ModelDescription,
)
from freehold.api.faults import Fault
from freehold.sources.config_defaults import UNTIED_BY_DEFAULT
from freehold.sources.config_fields import ConfigFields, language_model_fields
from freehold.sources.config_kinds import other_kind
from freehold.sources.config_layers import experts, local_attention
from freehold.sources.config_quantization import checkpoint

# It compresses keys and values, but the engine caches them unfolded, as plain heads
# (vllm/transformers_utils/model_arch_config_convertor.py: is_deepseek_mla leaves it out).
_CACHED_UNFOLDED = frozenset({"minicpm3"})


def describe(
    config: Mapping[str, Any], weight_bytes: int, where: str = "config.json"
) -> ModelDescription | tuple[Fault, ...]:
    """Return the description of a model, or every fault of its configuration.

    Args:
        config: The config.json. The ``quantization`` part of an hf_quant_config.json stands in
            it as ``quantization_config`` (see ``with_quantization``).
        weight_bytes: Bytes of the safetensors files that the index names.
        where: Name of the file, for the faults: ``config.json: num_attention_heads``.
    """
    fields = language_model_fields(config, where)
    refused = other_kind(config, fields, where)
    if refused is not None:
        return (refused,)
    shape = _architecture(config, fields)
    stored = checkpoint(config, fields, max(1, weight_bytes), where)
    faults = list(fields.faults)
    if isinstance(stored, Fault):
        faults.append(stored)
    if weight_bytes < 1:
        faults.append(Fault(f"{where}: weights", f"{weight_bytes} bytes", "at least 1 byte"))
    if faults or isinstance(stored, Fault):
        return tuple(dict.fromkeys(faults))
    return _description(shape, stored)


def with_quantization(
    config: Mapping[str, Any], hf_quant_config: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the config with what Model Optimizer wrote beside it, unless it says so itself."""
    inner = hf_quant_config.get("quantization", hf_quant_config)
    if config.get("quantization_config") or not isinstance(inner, Mapping):
        return config
    return {**config, "quantization_config": {"quant_method": "modelopt", **inner}}


def _description(shape: dict[str, Any], stored: Checkpoint) -> ModelDescription:
    known = {name: value for name, value in shape.items() if value is not None}
    return ModelDescription(**known, checkpoint=stored)


def _architecture(config: Mapping[str, Any], fields: ConfigFields) -> dict[str, Any]:
    """Return the fields of ModelArchitecture; stand-ins for those that have faults."""
    layers = fields.count("num_hidden_layers", "n_layer", "num_layers", "n_layers")
    if layers > _MOST_LAYERS:
        fields.fault("num_hidden_layers", str(layers), f"at most {_MOST_LAYERS}")
        layers = 1
    hidden = fields.count("hidden_size", "n_embd", "d_model")
    context = _context(fields)
    width = _dense_width(fields, hidden)
    return {
        "model_class": _model_class(config),
        "layers": layers,
        "hidden_size": hidden,
        **_heads(fields, hidden),
        "intermediate_size": width,
        "vocabulary_size": fields.count("vocab_size", "padded_vocab_size"),
        "tied_embeddings": _tied(config, fields),
        "max_context_length": context,
        "latent_attention": _latent_attention(fields),
        "local_attention": local_attention(fields, layers, context),
        "experts": experts(fields, layers, width),
    }


# The deepest published models have 126 (Llama 3.1 405B); the bound keeps a slip from being taken
# at its word, and the lists that are reckoned by layer short.
_MOST_LAYERS = 1024


def _model_class(config: Mapping[str, Any]) -> str:
    classes = config.get("architectures")
    first = classes[0] if isinstance(classes, list) and classes else ""
    return first[:128] if isinstance(first, str) else ""


def _heads(fields: ConfigFields, hidden: int) -> dict[str, int]:
    faults = len(fields.faults)
    heads = fields.count("num_attention_heads", "n_head", "n_heads")
    key_value = _key_value_heads(fields, heads)
    if heads % key_value and len(fields.faults) == faults:
        allowed = f"a number that divides the {heads} attention heads"
        fields.fault("num_key_value_heads", str(key_value), allowed)
    dim = _head_dim(fields, hidden, heads)
    # Gemma 4 has wider heads, or fewer, in the layers that see everything. What is kept for a
    # token there and elsewhere differs; the larger stands for both.
    wide = fields.optional("global_head_dim") or _widest_override(fields) or dim
    few = fields.optional("num_global_key_value_heads") or key_value
    if wide * few > dim * key_value:
        dim, key_value = wide, few
    return {"attention_heads": heads, "key_value_heads": key_value, "head_dim": dim}


def _widest_override(fields: ConfigFields) -> int:
    """Return the widest head among the layers that ``per_layer_config`` sets apart; 0 if none."""
    layers = fields.mapping("per_layer_config").values()
    widths = [layer.get("head_dim") for layer in layers if isinstance(layer, Mapping)]
    return max((width for width in widths if type(width) is int), default=0)


def _key_value_heads(fields: ConfigFields, heads: int) -> int:
    # Falcon and StarCoder 1 say with a flag that all query heads share one.
    if fields.get("multi_query") is True and not fields.get("new_decoder_architecture"):
        return 1
    names = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
    return fields.count(*names, default=heads)


def _head_dim(fields: ConfigFields, hidden: int, heads: int) -> int:
    compressed = fields.optional("kv_lora_rank", least=0)
    if compressed:
        # Here `head_dim`, where a saved config has it, is the rotary part alone.
        plain = fields.optional("qk_nope_head_dim", least=0) or 0
        return plain + fields.count("qk_rope_head_dim")
    given = fields.optional("head_dim", "kv_channels")
    if given is not None:
        return given
    if hidden % heads:
        allowed = f"a multiple of the {heads} attention heads, or head_dim beside it"
        fields.fault("hidden_size", str(hidden), allowed)
    return max(1, hidden // heads)


def _latent_attention(fields: ConfigFields) -> LatentAttention | None:
    rank = fields.optional("kv_lora_rank", least=0)
    if not rank or fields.text("model_type") in _CACHED_UNFOLDED:
        return None
    return LatentAttention(kv_lora_rank=rank, rope_head_dim=fields.count("qk_rope_head_dim"))


def _dense_width(fields: ConfigFields, hidden: int) -> int:
    # Llama 4 keeps the width of its dense layers apart; with the other families that have only
    # layers with experts, `intermediate_size` may be missing and the expert's stands in.
    apart = fields.optional("intermediate_size_mlp")
    if apart is not None:
        return apart
    fallback = fields.optional("moe_intermediate_size")
    if fallback is None and fields.get("n_embd") is not None:
        fallback = 4 * hidden  # GPT-2 and its kin, where n_inner is null
    names = ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim")
    return fields.count(*names, default=fallback)


def _tied(config: Mapping[str, Any], fields: ConfigFields) -> bool:
    kind = fields.text("model_type")
    for value in (fields.get("tie_word_embeddings"), config.get("tie_word_embeddings")):
        if isinstance(value, bool):
            return value
    return kind not in UNTIED_BY_DEFAULT


def _context(fields: ConfigFields) -> int:
    """Return the longest sequence in tokens, as the engine derives it.

    ``max_position_embeddings`` has the scaling of the rotary embedding inside it, save for YaRN,
    where the engine takes the original length times the factor (vLLM 0.29,
    ``vllm/config/model.py: _get_and_verify_max_len``).
    """
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    length = fields.count(*names)
    scaling = fields.get("rope_parameters", "rope_scaling")
    if not isinstance(scaling, Mapping) or "gemma3" in fields.text("model_type"):
        return length
    if scaling.get("rope_type", scaling.get("type")) != "yarn":
        return length
    original, factor = scaling.get("original_max_position_embeddings"), scaling.get("factor")
    if isinstance(original, int) and isinstance(factor, int | float):
        scaled = int(original * factor)
        return scaled if 0 < scaled < 2**31 else length
    return length
