"""Describes a model that lies in a folder."""

from __future__ import annotations

from pathlib import Path

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.serving.weights import LocalFiles
from freehold.sources.model_files import describe_files

_SOURCE = "spec.model.source"


def describe_folder(folder: Path) -> ModelDescription | tuple[Fault, ...]:
    """Return the description of the model in ``folder``, or every fault that was found."""
    try:
        missing = _missing_folder(folder)
        return (
            (missing,) if missing is not None else describe_files(LocalFiles(folder), str(folder))
        )
    except OSError as error:
        return (unreadable(str(folder), error),)


def unreadable(place: str, error: OSError) -> Fault:
    """Return the fault of files that cannot be read."""
    found = f"{error.filename or place} cannot be read ({error.strerror or error})"
    return Fault(_SOURCE, found, "a folder that this process may read")


def _missing_folder(folder: Path) -> Fault | None:
    if folder.is_dir():
        return None
    found = "a file, not a folder" if folder.exists() else "no such folder"
    allowed = "a folder with config.json and safetensors files"
    return Fault(_SOURCE, f"{found}: {folder}", allowed)
