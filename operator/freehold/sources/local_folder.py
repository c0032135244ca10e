"""Describes a model that lies in a folder, as transformers saves it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault, counted
from freehold.api.scalars import GIB
from freehold.serving.weights import LocalFiles, missing_part
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


def describe_folder(folder: Path) -> ModelDescription | tuple[Fault, ...]:
    """Return the description of the model in ``folder``, or every fault that was found.

    Read are config.json, the safetensors index (or the one model.safetensors), the headers of the
    files and, where there is one, hf_quant_config.json. Refused are files that have less in them
    than their headers say, and files that together have less than half of what the model's shape
    takes: the plan would rest on a download that broke off.
    """
    try:
        missing = _missing_folder(folder)
        if missing is not None:
            return (missing,)
        config, files = _config(folder), _whole_files(folder)
        if isinstance(config, Fault) or isinstance(files, Fault):
            return tuple(item for item in (config, files) if isinstance(item, Fault))
        stored = sum((folder / name).stat().st_size for name in files.names)
    except OSError as error:
        return (_unreadable(folder, error),)
    found = describe(config, files.total or stored, str(folder / CONFIG))
    if isinstance(found, ModelDescription) and stored < least_bytes(found) / 2:
        return (_too_little(folder, files, stored, found),)
    return found


def _missing_folder(folder: Path) -> Fault | None:
    if folder.is_dir():
        return None
    found = "a file, not a folder" if folder.exists() else "no such folder"
    allowed = "a folder with config.json and safetensors files"
    return Fault(_SOURCE, f"{found}: {folder}", allowed)


def _unreadable(folder: Path, error: OSError) -> Fault:
    place = error.filename or folder
    found = f"{place} cannot be read ({error.strerror or error})"
    return Fault(_SOURCE, found, "a folder that this process may read")


def _config(folder: Path) -> Mapping[str, Any] | Fault:
    config = _read(folder, CONFIG)
    if isinstance(config, Fault) or not (folder / MODEL_OPTIMIZER).exists():
        return config
    optimizer = _read(folder, MODEL_OPTIMIZER)
    return optimizer if isinstance(optimizer, Fault) else with_quantization(config, optimizer)


def _read(folder: Path, name: str) -> dict[str, Any] | Fault:
    path = folder / name
    if not path.is_file():
        hint = "It must be a model as transformers saves it. " + _AGAIN
        return Fault(_SOURCE, f"no {name} in {folder}", f"a folder with {name}", hint)
    return read_object(path.read_bytes(), str(path))


def _whole_files(folder: Path) -> WeightFiles | Fault:
    """Return the weight files that the engine will load, once each is seen to be whole."""
    files = _named_files(folder)
    if isinstance(files, Fault):
        return files
    broken = [name for name in files.names if not _is_there(folder / name)]
    if broken:
        return _broken_files(folder, broken, len(files.names))
    for name in files.names:
        size = (folder / name).stat().st_size
        lacks = missing_part(size, partial(LocalFiles(folder).read, name))
        if lacks is not None:
            return _incomplete(f"{folder / name} {lacks}", "a safetensors file that is whole")
    return files


def _named_files(folder: Path) -> WeightFiles | Fault:
    if (folder / INDEX).exists():
        index = _read(folder, INDEX)
        return index if isinstance(index, Fault) else weight_files(index, str(folder / INDEX))
    if (folder / SINGLE).is_file():
        return WeightFiles((SINGLE,), None)
    others = sorted({item.suffix for item in folder.iterdir() if item.suffix in _OTHERS})
    found = f"neither {SINGLE} nor {INDEX} in {folder}"
    if others:
        found += f", but {' and '.join(others)} files"
    return Fault(_SOURCE, found, "weights as safetensors", _CONVERT)


def _too_little(folder: Path, files: WeightFiles, stored: int, model: ModelDescription) -> Fault:
    count = counted(len(files.names), "weight file")
    found = f"{count} of {stored / GIB:.1f} GiB together in {folder}"
    what = f"the model of its {CONFIG} in {model.checkpoint.precision}"
    return _incomplete(found, f"at least {least_bytes(model) / GIB:.1f} GiB for {what}")


def _incomplete(found: str, allowed: str) -> Fault:
    return Fault(_SOURCE, found, allowed, f"The download looks incomplete. {_AGAIN}")


_OTHERS = frozenset({".bin", ".pt", ".pth", ".gguf"})
_CONVERT = "Take the safetensors version of the model, or save it anew with save_pretrained()."


def _is_there(path: Path) -> bool:
    """Return whether the file is there and no stand-in that git leaves without git-lfs."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(len(_POINTER))
    return bool(start) and start != _POINTER


def _broken_files(folder: Path, names: list[str], of: int) -> Fault:
    told = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    found = f"{len(names)} of {of} weight files missing, empty or git-lfs pointers in {folder}"
    return Fault(_SOURCE, f"{found}: {told}", "every file that the index names", _AGAIN)
