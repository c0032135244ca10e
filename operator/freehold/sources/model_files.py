"""Describes a model by its files, as transformers saves them, wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault, counted
from freehold.api.scalars import GIB
from freehold.serving.weights import Files, missing_part
from freehold.sources.config_json import describe, with_quantization
from freehold.sources.least_weights import least_bytes
from freehold.sources.weight_files import (
    CONFIG,
    INDEX,
    MODEL_OPTIMIZER,
    SINGLE,
    WeightFiles,
    read_object,
    weight_files,
)

_SOURCE = "spec.model.source"
_POINTER = b"version https://git-lfs"
_AGAIN = "Download the model again, for instance with `hf download MODEL --local-dir FOLDER`."
_OTHERS = frozenset({".bin", ".pt", ".pth", ".gguf"})
_CONVERT = "Take the safetensors version of the model, or save it anew with save_pretrained()."


def describe_files(files: Files, place: str) -> ModelDescription | tuple[Fault, ...]:
    """Return the description of the model that the files are, or every fault that was found.

    Read are config.json, the safetensors index (or the one model.safetensors), the headers of the
    files and, where there is one, hf_quant_config.json. Refused are files that have less in them
    than their headers say, and files that together have less than half of what the model's shape
    takes: the plan would rest on a download that broke off.

    Args:
        files: The files.
        place: Where they lie, for faults: a folder or a bucket's URL.

    Raises:
        OSError: They cannot be read.
    """
    sizes = files.sizes()
    config = _config(files, sizes, place)
    weights = _whole_files(files, sizes, place)
    if isinstance(config, Fault) or isinstance(weights, Fault):
        return tuple(item for item in (config, weights) if isinstance(item, Fault))
    stored = sum(sizes[name] for name in weights.names)
    found = describe(config, weights.total or stored, f"{place}/{CONFIG}")
    if isinstance(found, ModelDescription) and stored < least_bytes(found) / 2:
        return (_too_little(place, weights, stored, found),)
    return found


def _config(files: Files, sizes: Mapping[str, int], place: str) -> Mapping[str, Any] | Fault:
    config = _read(files, sizes, place, CONFIG)
    if isinstance(config, Fault) or MODEL_OPTIMIZER not in sizes:
        return config
    optimizer = _read(files, sizes, place, MODEL_OPTIMIZER)
    return optimizer if isinstance(optimizer, Fault) else with_quantization(config, optimizer)


def _read(files: Files, sizes: Mapping[str, int], place: str, name: str) -> dict[str, Any] | Fault:
    if name not in sizes:
        hint = "It must be a model as transformers saves it. " + _AGAIN
        return Fault(_SOURCE, f"no {name} in {place}", f"a folder with {name}", hint)
    return read_object(files.read(name, sizes[name]), f"{place}/{name}")


def _whole_files(files: Files, sizes: Mapping[str, int], place: str) -> WeightFiles | Fault:
    """Return the weight files that the engine will load, once each is seen to be whole."""
    weights = _named_files(files, sizes, place)
    if isinstance(weights, Fault):
        return weights
    broken = [name for name in weights.names if not _is_there(files, sizes, name)]
    if broken:
        return _broken_files(place, broken, len(weights.names))
    for name in weights.names:
        lacks = missing_part(sizes[name], partial(files.read, name))
        if lacks is not None:
            return _incomplete(f"{place}/{name} {lacks}", "a safetensors file that is whole")
    return weights


def _named_files(files: Files, sizes: Mapping[str, int], place: str) -> WeightFiles | Fault:
    if INDEX in sizes:
        index = _read(files, sizes, place, INDEX)
        return index if isinstance(index, Fault) else weight_files(index, f"{place}/{INDEX}")
    if SINGLE in sizes:
        return WeightFiles((SINGLE,), None)
    others = sorted({PurePosixPath(name).suffix for name in sizes} & _OTHERS)
    found = f"neither {SINGLE} nor {INDEX} in {place}"
    if others:
        found += f", but {' and '.join(others)} files"
    return Fault(_SOURCE, found, "weights as safetensors", _CONVERT)


def _too_little(place: str, weights: WeightFiles, stored: int, model: ModelDescription) -> Fault:
    count = counted(len(weights.names), "weight file")
    found = f"{count} of {stored / GIB:.1f} GiB together in {place}"
    what = f"the model of its {CONFIG} in {model.checkpoint.precision}"
    return _incomplete(found, f"at least {least_bytes(model) / GIB:.1f} GiB for {what}")


def _incomplete(found: str, allowed: str) -> Fault:
    return Fault(_SOURCE, found, allowed, f"The download looks incomplete. {_AGAIN}")


def _is_there(files: Files, sizes: Mapping[str, int], name: str) -> bool:
    """Return whether the file is there and no stand-in that git leaves without git-lfs."""
    start = files.read(name, min(len(_POINTER), sizes.get(name, 0))) if name in sizes else b""
    return bool(start) and start != _POINTER


def _broken_files(place: str, names: list[str], of: int) -> Fault:
    told = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    found = f"{len(names)} of {of} weight files missing, empty or git-lfs pointers in {place}"
    return Fault(_SOURCE, f"{found}: {told}", "every file that the index names", _AGAIN)
