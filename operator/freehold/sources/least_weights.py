"""What the weights of a model take at least: less is a download that broke off."""

from __future__ import annotations

from freehold.api.architecture import ModelDescription

_BITS = {"bf16": 16, "fp8": 8, "int8": 8, "mxfp4": 4, "nvfp4": 4, "int4": 4}


def least_bytes(model: ModelDescription) -> int:
    """Return what the weights of a model take at least, in bytes.

    Counted are the matrices that no model of this shape goes without, each number in the
    checkpoint's precision: the embedding once, the query and output projections, the
    feed-forward part with two matrices (a gate is a third), of experts the routed ones.
    """
    return int(_least_parameters(model) * _BITS[model.checkpoint.precision] / 8)


def _least_parameters(model: ModelDescription) -> int:
    hidden = model.hidden_size
    attention = 2 * hidden * model.attention_heads * model.head_dim
    if model.latent_attention is not None:
        # queries are compressed too; what is left is the output projection
        attention = hidden * model.attention_heads * _plain_width(model)
    layers = model.layers - (model.experts.layers if model.experts else 0)
    total = model.vocabulary_size * hidden + model.layers * attention
    total += layers * 2 * hidden * model.intermediate_size
    if model.experts is not None:
        experts = model.experts
        total += experts.layers * experts.count * 2 * hidden * experts.intermediate_size
    return total


def _plain_width(model: ModelDescription) -> int:
    rotary = model.latent_attention.rope_head_dim if model.latent_attention else 0
    return max(0, model.head_dim - rotary)
