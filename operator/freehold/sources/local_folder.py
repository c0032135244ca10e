"""Describes a model that lies in a folder, as transformers saves it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.sources.config_json import describe, with_quantization
from freehold.sources.weight_files import (
    CONFIG,
    INDEX,
    MODEL_OPTIMIZER,
    SINGLE,
    read_object,
    weight_files,
)

_SOURCE = "spec.model.source"
_POINTER = b"version https://git-lfs"
_AGAIN = "Download the model again, for instance with `hf download MODEL --local-dir FOLDER`."


def describe_folder(folder: Path) -> ModelDescription | tuple[Fault, ...]:
    """Return the description of the model in ``folder``, or every fault that was found.

    Read are config.json, the safetensors index (or the one model.safetensors) and, where there is
    one, hf_quant_config.json.
    """
    try:
        missing = _missing_folder(folder)
        if missing is not None:
            return (missing,)
        config, size = _config(folder), _weight_bytes(folder)
    except OSError as error:
        return (_unreadable(folder, error),)
    if isinstance(config, Fault) or isinstance(size, Fault):
        return tuple(item for item in (config, size) if isinstance(item, Fault))
    return describe(config, size, str(folder / CONFIG))


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


def _weight_bytes(folder: Path) -> int | Fault:
    """Return the bytes of the weights that the engine will load."""
    if not (folder / INDEX).exists():
        return _single_file(folder)
    index = _read(folder, INDEX)
    files = index if isinstance(index, Fault) else weight_files(index, str(folder / INDEX))
    if isinstance(files, Fault):
        return files
    broken = [name for name in files.names if not _is_whole(folder / name)]
    if broken:
        return _broken_files(folder, broken, len(files.names))
    return files.total or sum((folder / name).stat().st_size for name in files.names)


def _single_file(folder: Path) -> int | Fault:
    path = folder / SINGLE
    if not path.is_file():
        others = sorted({item.suffix for item in folder.iterdir() if item.suffix in _OTHERS})
        found = f"neither {SINGLE} nor {INDEX} in {folder}"
        if others:
            found += f", but {' and '.join(others)} files"
        return Fault(_SOURCE, found, "weights as safetensors", _CONVERT)
    return path.stat().st_size if _is_whole(path) else _broken_files(folder, [SINGLE], 1)


_OTHERS = frozenset({".bin", ".pt", ".pth", ".gguf"})
_CONVERT = "Take the safetensors version of the model, or save it anew with save_pretrained()."


def _is_whole(path: Path) -> bool:
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
