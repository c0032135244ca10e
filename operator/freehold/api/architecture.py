"""What the planner must know of a model: its shape and its checkpoint."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.alias_generators import to_snake

from freehold.api.base import ApiModel, Rule
from freehold.api.scalars import Count, LayerCount, PositiveCount, PositiveQuantity

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
    layers: LayerCount = Field(description="How many of the model's layers are of this kind.")


class Experts(ApiModel):
    """The mixture-of-experts part of a model."""

    count: PositiveCount = Field(description="Routed experts in one layer.")
    per_token: PositiveCount = Field(description="Routed experts that one token uses.")
    intermediate_size: PositiveCount = Field(description="Width of one expert.")
    layers: LayerCount = Field(description="Layers that have experts; the others are dense.")
    shared: Count = Field(default=0, description="Experts in a layer that every token uses.")


class Checkpoint(ApiModel):
    """The stored weights of a model."""

    size: PositiveQuantity = Field(description="Sum of the safetensors files that the index names.")
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
    layers: LayerCount = Field(description="Transformer layers.")
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


def _limit(field: str, most: int) -> Rule:
    """Return the rule that a field, or one of an object that may be absent, is at most so large."""
    parent, _, _ = field.rpartition(".")
    absent = f"!has(self.{parent}) || " if parent else ""
    names = [to_snake(name) for name in field.split(".")]

    def holds(model: ModelDescription) -> bool:
        value: Any = model
        for name in names:
            value = getattr(value, name)
            if value is None:
                return True
        return bool(value <= most)

    return Rule(field, f"at most {most}", f"{absent}self.{field} <= {most}", holds)


class StatedModel(ModelDescription):
    """A model that a user describes, within limits that only a slip of the pen exceeds.

    The limits are eight times and more what any published model has. They are rules of this type
    alone: what is read from a model's own files is judged where it is read, with their names.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        *ModelArchitecture.rules,
        _limit("hiddenSize", 1 << 20),
        _limit("attentionHeads", 4096),
        _limit("headDim", 4096),
        _limit("intermediateSize", 1 << 22),
        _limit("vocabularySize", 1 << 24),
        _limit("latentAttention.kvLoraRank", 1 << 16),
        _limit("latentAttention.ropeHeadDim", 4096),
        _limit("experts.count", 1 << 14),
        _limit("experts.perToken", 1 << 14),
        _limit("experts.shared", 1 << 14),
        _limit("experts.intermediateSize", 1 << 22),
    )
