"""What a safetensors index says of the files of a checkpoint; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freehold.api.faults import Fault

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MODEL_OPTIMIZER = "hf_quant_config.json"


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files that hold a checkpoint's weights.

    Attributes:
        names: The files, relative to the repository or folder.
        total: Bytes of all their tensors; None where the index does not say.
    """

    names: tuple[str, ...]
    total: int | None


def read_object(text: str | bytes, where: str) -> dict[str, Any] | Fault:
    """Return the JSON object in ``text``, or the fault of a file that holds none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "Download the file again."
        return Fault(where, f"no JSON: {error}", "a JSON object", hint)
    if isinstance(value, dict):
        return value
    return Fault(where, f"a JSON {type(value).__name__}", "a JSON object")


def weight_files(index: Mapping[str, Any], where: str) -> WeightFiles | Fault:
    """Return the files that an index names and no others, such as those under original/."""
    mapping = index.get("weight_map")
    if not isinstance(mapping, Mapping) or not mapping:
        return Fault(f"{where}: weight_map", repr(mapping)[:60], "file names by tensor")
    names = sorted({name for name in mapping.values() if isinstance(name, str)})
    strange = next((name for name in names if _leaves(name)), None)
    if strange is not None or not names:
        return Fault(f"{where}: weight_map", repr(strange), "files of this checkpoint")
    metadata = index.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    # Some tools wrote it as a floating-point number.
    known = isinstance(total, int | float) and not isinstance(total, bool) and 0 < total < 2**60
    return WeightFiles(tuple(names), int(total) if known and total is not None else None)


def _leaves(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/") or "\\" in name
