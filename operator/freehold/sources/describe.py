"""From a manifest's model source to the model's description, wherever that is to be found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Cause, Fault
from freehold.api.modeldeployment import ModelSource
from freehold.catalog.builtin import Catalog
from freehold.render.source_pin import SourcePin
from freehold.render.weights_location import weights_location
from freehold.serving.weights import Files, LocalFiles, WeightsError, fingerprint
from freehold.sources.local_folder import describe_folder, unreadable
from freehold.sources.model_files import describe_files
from freehold.sources.told import Told

_SOURCE = "spec.model.source"
# Where the faults of a source are told: the fields of the manifest that name it.
SOURCE_FIELDS = frozenset({_SOURCE, "spec.model.revision"})


@dataclass(frozen=True, slots=True)
class Described:
    """A model whose shape is known.

    Attributes:
        description: Its shape and checkpoint.
        origin: Where the description comes from, in words.
        gated: Whether the hub asks for an accepted licence.
    """

    description: ModelDescription
    origin: str
    gated: bool = False


def describe(
    model: ModelSource, catalog: Catalog, *, offline: bool = False
) -> Described | tuple[Fault, ...]:
    """Return the model's description, or what keeps it from being known.

    What the manifest says comes first, then the catalogue, then the source itself. A fault of one
    of the source's files has the field that names the source as its path, for that is what the
    reader can look up, and the file in its sentence.

    Args:
        model: The model as the manifest names it.
        catalog: What is known without looking.
        offline: Whether the hub must not be asked.
    """
    if model.architecture is not None:
        return Described(model.architecture, "spec.model.architecture")
    found = _described(model, catalog, offline)
    return tuple(map(_at_field, found)) if isinstance(found, tuple) else found


def look_at(source: str, revision: str | None, *, with_model: bool = True) -> Told:
    """Return what a source holds now, read from here with the credentials that are here.

    Args:
        source: ``spec.model.source``.
        revision: ``spec.model.revision``.
        with_model: Whether the model's shape is asked for, and not only what pins it.
    """
    scheme, location = urlsplit(source).scheme, weights_location(source)
    if scheme == "hf":
        told = _look_at_hub(location, revision, with_model)
    elif scheme in ("s3", "gs", "abfss"):
        told = _look_at_bucket(location, with_model)
    else:
        told = _look_at_folder(Path(location), with_model)
    return replace(told, faults=tuple(map(_at_field, told.faults)))


def _look_at_hub(repository: str, revision: str | None, with_model: bool) -> Told:
    from freehold.sources.hub import commit_of, describe_repository

    commit = commit_of(repository, revision)
    if isinstance(commit, Fault):
        return Told(faults=(commit,))
    if not with_model:
        return Told(pin=SourcePin(commit))
    found = describe_repository(repository, commit)
    if isinstance(found, tuple):
        return Told(faults=found)
    return Told(found.description, SourcePin(commit))


def _look_at_folder(folder: Path, with_model: bool) -> Told:
    found = describe_folder(folder) if with_model else None
    if isinstance(found, tuple):
        return Told(faults=found)
    try:
        return _look_at_files(LocalFiles(folder), str(folder), found)
    except OSError as error:
        return Told(faults=(unreadable(str(folder), error),))


def _look_at_bucket(url: str, with_model: bool) -> Told:
    from freehold.sources.bucket import BUCKET_ERRORS, bucket_fault, bucket_files

    try:
        files = bucket_files(url)
        found = describe_files(files, url) if with_model else None
        return Told(faults=found) if isinstance(found, tuple) else _look_at_files(files, url, found)
    except BUCKET_ERRORS as error:
        return Told(faults=(bucket_fault(url, error),))


def _look_at_files(files: Files, place: str, model: ModelDescription | None) -> Told:
    """Return the model with the digest of its files.

    Raises:
        OSError: They cannot be read.
    """
    try:
        found = fingerprint(files)
    except WeightsError as error:
        return Told(faults=(Fault(_SOURCE, f"{place}: {error}", "a model that is whole"),))
    return Told(model, SourcePin(digest=found.digest, files=found.files))


def _at_field(fault: Fault) -> Fault:
    cause = Cause.MODEL if fault.cause is Cause.VALUE else fault.cause
    if fault.path in SOURCE_FIELDS:
        return replace(fault, cause=cause)
    return replace(fault, path=_SOURCE, found=f"{fault.path}: {fault.found}", cause=cause)


def _described(
    model: ModelSource, catalog: Catalog, offline: bool
) -> Described | tuple[Fault, ...]:
    scheme = model.source.partition("://")[0]
    location = weights_location(model.source)
    if scheme == "file":
        found = describe_folder(Path(location))
        return found if isinstance(found, tuple) else Described(found, f"{location}/config.json")
    if scheme == "hf":
        return _from_hub(location, model.revision, catalog, offline)
    return (cannot_be_read(scheme),)


def cannot_be_read(scheme: str, readable: str = "hf://, file://") -> Fault:
    """Return the fault of a source that is not read where it is planned; these can be."""
    found = f"a {scheme}:// source, which planning cannot read"
    allowed = f"a source that can be read from here ({readable}), or spec.model.architecture"
    hint = "Describe the model under spec.model.architecture; its config.json has the numbers."
    return Fault(_SOURCE, found, allowed, hint, cause=Cause.MODEL)


def _from_hub(
    repository: str, revision: str | None, catalog: Catalog, offline: bool
) -> Described | tuple[Fault, ...]:
    known = catalog.model(repository)
    if known is not None:
        return Described(known.description, "built-in catalogue", known.gated)
    # imported late: the hub's library takes longer to load than everything else of a plan
    from freehold.sources.hub import describe_repository

    found = describe_repository(repository, revision, offline=offline)
    if isinstance(found, tuple):
        return found
    return Described(found.description, f"config.json of {repository} at {found.commit}")
