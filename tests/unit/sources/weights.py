"""Safetensors files of any size that take no room on the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_weights(file: Path, size: int, header_size: int | None = None) -> None:
    """Write a file of so many bytes with one tensor; the tensor's bytes are a hole.

    Args:
        file: Where to write it.
        size: Bytes of the file.
        header_size: What the header says instead; None for the truth.
    """
    whole = size if header_size is None else header_size
    # padded, as the format allows, so that its length does not depend on the numbers in it
    header = _header(whole - 8 - 120)
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, size)


def _header(tensor: int) -> bytes:
    entry = {"dtype": "U8", "shape": [tensor], "data_offsets": [0, tensor]}
    return json.dumps({"__metadata__": {"format": "pt"}, "w": entry}).encode().ljust(120)
