"""What the planner must know of a model: its shape and its checkpoint."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from freehold.api.base import ApiModel, Rule
from freehold.api.scalars import Count, PositiveCount, Quantity

Precision = Literal["bf16", "fp8", "mxfp4", "nvfp4", "int8", "int4"]


class LatentAttention(ApiModel):
    """Multi-head latent attention (MLA): one compressed key/value vector per token and layer."""

    kv_lora_rank: PositiveCount = Field(description="Width of the compressed key/value vector.")
    rope_head_dim: PositiveCount = Field(
        description="Width of the rotary part of the key, stored beside the compressed vector."
    )


class LocalAttention(ApiModel):
    """Layers that attend only to a window of recent tokens (sliding-window or chunked)."""

    window: PositiveCount = Field(description="Tokens that such a layer looks back.")
    layers: PositiveCount = Field(description="How many of the model's layers are of this kind.")


class Experts(ApiModel):
    """The mixture-of-experts part of a model."""

    count: PositiveCount = Field(description="Routed experts in one layer.")
    per_token: PositiveCount = Field(description="Routed experts that one token uses.")
    intermediate_size: PositiveCount = Field(description="Width of one expert.")
    layers: PositiveCount = Field(description="Layers that have experts; the others are dense.")
    shared: Count = Field(default=0, description="Experts in a layer that every token uses.")


class Checkpoint(ApiModel):
    """The stored weights of a model."""

    size: Quantity = Field(description="Sum of the safetensors files that the index names.")
    precision: Precision = Field(description="Number format of the linear layers' weights.")
    quantization: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="The engine's name for the quantisation method; absent for plain weights.",
    )
    block_size: PositiveCount | None = Field(
        default=None,
        description="Rows and columns that share a scale in a block-quantised checkpoint.",
    )


class ModelArchitecture(ApiModel):
    """The shape of a model: what decides its memory and how it may be split."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "keyValueHeads",
            "at most attentionHeads",
            "self.keyValueHeads <= self.attentionHeads",
            lambda a: a.key_value_heads <= a.attention_heads,
        ),
        Rule(
            "localAttention.layers",
            "at most layers",
            "!has(self.localAttention) || self.localAttention.layers <= self.layers",
            lambda a: a.local_attention is None or a.local_attention.layers <= a.layers,
        ),
        Rule(
            "experts.layers",
            "at most layers",
            "!has(self.experts) || self.experts.layers <= self.layers",
            lambda a: a.experts is None or a.experts.layers <= a.layers,
        ),
    )

    model_class: str = Field(
        default="",
        max_length=128,
        description="The model's class, as `architectures` in its config.json names it.",
    )
    layers: PositiveCount = Field(description="Transformer layers.")
    hidden_size: PositiveCount = Field(description="Width of the residual stream.")
    attention_heads: PositiveCount = Field(description="Query heads in one layer.")
    key_value_heads: PositiveCount = Field(description="Key/value heads in one layer.")
    head_dim: PositiveCount = Field(description="Width of one head.")
    intermediate_size: PositiveCount = Field(
        description="Width of the feed-forward part of a dense layer."
    )
    vocabulary_size: PositiveCount = Field(description="Tokens in the vocabulary.")
    tied_embeddings: bool = Field(
        default=False, description="Whether input and output embeddings are one matrix."
    )
    max_context_length: PositiveCount = Field(
        description="Longest sequence, in tokens, that the model was made for."
    )
    latent_attention: LatentAttention | None = Field(
        default=None, description="Only for models with multi-head latent attention."
    )
    local_attention: LocalAttention | None = Field(
        default=None, description="Only for models with sliding-window or chunked layers."
    )
    experts: Experts | None = Field(default=None, description="Only for mixtures of experts.")


class ModelDescription(ModelArchitecture):
    """An architecture together with its checkpoint: all that planning needs of a model."""

    checkpoint: Checkpoint = Field(description="The stored weights.")
