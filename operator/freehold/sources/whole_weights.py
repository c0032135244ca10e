"""Tells weights that are all there from those of a download that broke off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from freehold.api.architecture import ModelDescription

# The format's own limit (safetensors 0.6, ``MAX_HEADER_SIZE``).
_LARGEST_HEADER = 100_000_000
_LENGTH_BYTES = 8
_BITS = {"bf16": 16, "fp8": 8, "int8": 8, "mxfp4": 4, "nvfp4": 4, "int4": 4}


def missing_part(file: Path) -> str | None:
    """Return why a safetensors file cannot be whole, in words; None where it can be.

    A file is eight bytes with the length of the header (little-endian), the header as JSON and
    the tensors, whose ``data_offsets`` count from the header's end
    (https://huggingface.co/docs/safetensors). Only the header is read.

    Raises:
        OSError: The file cannot be read.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= min(_LARGEST_HEADER, size - _LENGTH_BYTES):
            return f"has {size} bytes and no safetensors header that can be read"
        tensors = _end_of_tensors(opened.read(length))
    if tensors is None:
        return "has no safetensors header that can be read"
    whole = _LENGTH_BYTES + length + tensors
    return f"has {size} of {whole} bytes" if size < whole else None


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


def _end_of_tensors(header: bytes) -> int | None:
    """Return where the last tensor ends, or None where the header is none."""
    try:
        entries: Any = json.loads(header)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entries, dict):
        return None
    ends = [0]
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not isinstance(offsets, list) or [type(n) for n in offsets] != [int, int]:
            return None
        ends.append(offsets[1])
    return max(ends)
