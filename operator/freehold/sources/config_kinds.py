"""Tells decoder-only attention models from everything else that has a config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.api.faults import Fault
from freehold.sources.config_fields import ConfigFields

# An indexed layer (DeepSeek V3.2) reads few tokens and still keeps all of them.
FULL_LAYERS = frozenset({"full_attention", "attention", "indexed_attention"})
LOCAL_LAYERS = frozenset({"sliding_attention", "chunked_attention"})

_ENCODERS = [
    "bert",
    "albert",
    "bart",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "camembert",
    "electra",
    "deberta",
    "deberta-v2",
    "ernie",
    "mpnet",
    "modernbert",
    "nomic_bert",
    "new",
    "xlm",
    "funnel",
    "longformer",
    "big_bird",
    "clip",
    "siglip",
    "vit",
    "whisper",
    "wav2vec2",
    "t5",
    "mt5",
]
_STATE_SPACE = [
    "mamba",
    "mamba2",
    "falcon_mamba",
    "falcon_h1",
    "rwkv",
    "rwkv5",
    "rwkv7",
    "jamba",
    "zamba",
    "zamba2",
    "bamba",
    "nemotron_h",
    "recurrent_gemma",
    "qwen3_next",
    "qwen3_5",
    "qwen3_5_text",
    "qwen3_5_moe",
    "qwen3_5_moe_text",
    "lfm2",
    "lfm2_moe",
    "minimax",
    "minimax_text_01",
    "kimi_linear",
    "plamo2",
    "xlstm",
    "olmo_hybrid",
    "bailing_hybrid",
]
_STATE_SPACE_FIELDS = [
    "mamba_d_state",
    "mamba_num_heads",
    "mamba_d_conv",
    "ssm_cfg",
    "ssm_state_size",
    "linear_num_key_heads",
    "linear_conv_kernel_dim",
    "hybrid_override_pattern",
    "attn_layer_period",
    "block_types",
]


def other_kind(config: Mapping[str, Any], fields: ConfigFields, where: str) -> Fault | None:
    """Return the fault of a model that is no decoder-only attention model, or None."""
    found = (
        _diffusion(config)
        or _encoder(config, fields)
        or _without_plain_cache(fields)
        or _uneven_layers(fields)
    )
    if found is None:
        return None
    return Fault(
        where,
        found,
        "a decoder-only attention model: no other can be planned from its config.json",
        "If the engine serves it, give its shape in spec.model.architecture.",
    )


def _diffusion(config: Mapping[str, Any]) -> str | None:
    marks = [name for name in ("_class_name", "_diffusers_version") if name in config]
    return f"a diffusion model ({', '.join(marks)})" if marks else None


def _encoder(config: Mapping[str, Any], fields: ConfigFields) -> str | None:
    kind = fields.text("model_type")
    if config.get("is_encoder_decoder") is True or fields.get("is_encoder_decoder") is True:
        return f"an encoder-decoder model ({kind or 'is_encoder_decoder'})"
    classes = config.get("architectures")
    masked = isinstance(classes, list) and any(
        isinstance(name, str) and name.endswith("ForMaskedLM") for name in classes
    )
    # EmbeddingGemma keeps a decoder's type and says only here that it looks both ways.
    if masked or kind in _ENCODERS or fields.get("use_bidirectional_attention") is True:
        return f"an encoder-only model ({kind})"
    return None


def _without_plain_cache(fields: ConfigFields) -> str | None:
    """Return why the model's memory per request is more than keys and values of its layers."""
    kind = fields.text("model_type")
    types = fields.get("layer_types", "layers_block_type")
    if isinstance(types, list) and types:
        other = sorted({str(name) for name in types} - FULL_LAYERS - LOCAL_LAYERS)
        return f"layers of the kinds {', '.join(other)} ({kind})" if other else None
    marks = [name for name in _STATE_SPACE_FIELDS if fields.get(name) is not None]
    if kind in _STATE_SPACE or marks:
        return f"a state-space model or a hybrid with one ({kind or marks[0]})"
    if fields.get("cross_attention_layers"):
        return f"a model with cross-attention layers ({kind})"
    return None


def _uneven_layers(fields: ConfigFields) -> str | None:
    return "layers that differ in shape (block_configs)" if fields.get("block_configs") else None
