"""Reads and plans manifest files, and finds the line that a fault belongs to."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from freehold.api import yaml_text
from freehold.api.faults import Fault, unknown_name
from freehold.api.manifest import DEFAULT_NAMESPACE, Identity, identity
from freehold.api.modeldeployment import ModelDeployment
from freehold.compose import (
    LocatedFault,
    Manifests,
    Planned,
    check_arguments,
    plan_model,
    read_manifests,
)
from freehold.errors import FreeholdError, ManifestInvalid, WeightsUnavailable
from freehold.plan.checks import faults_of_class, faults_of_model
from freehold.plan.planner import Option, Question
from freehold.sources.describe import SOURCE_FIELDS

STANDARD_INPUT = "-"
_OF_A_CLASS = re.compile(r"AcceleratorClass (?P<name>[^\s:]+)(: (?P<path>.*))?")
_OF_AN_ARGUMENT = re.compile(r"spec\.engine\.args\.[^.\[]+")

# Takes a model and its question; returns the options to consider instead of its own.
Chooser = Callable[[ModelDeployment, Question], tuple[Option, ...]]


class _FaultsError(FreeholdError):
    """Faults, each told once; its text has one a line."""

    def __init__(self, faults: Iterable[LocatedFault]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class FaultsFoundError(_FaultsError, ManifestInvalid):
    """What was given has faults."""


class SourceFaultsError(_FaultsError, WeightsUnavailable):
    """Models cannot be had from where the manifests say."""


@dataclass(frozen=True, slots=True)
class Unread(LocatedFault):
    """A file that is no manifest since it cannot be read at all."""

    def __str__(self) -> str:
        """Return what is wrong with it and what to give instead."""
        return f"{self.file}: {self.fault.found}; give {self.fault.allowed}"


@dataclass(frozen=True, slots=True)
class Files:
    """The manifests of a command line.

    Attributes:
        manifests: What they hold; the faults carry lines. A file that cannot be read has no
            documents there.
    """

    manifests: Manifests

    def every_document(self) -> Iterator[tuple[str, yaml_text.Document]]:
        """Yield each document with its file."""
        for file, documents in self.manifests.documents.items():
            for document in documents:
                yield file, document

    def objects(self) -> Iterator[tuple[str, str, str]]:
        """Yield file, kind and name of every object that has a name."""
        for file, document in self.every_document():
            kind, _, name = _identity(document)
            if kind and name:
                yield file, kind, name

    def locate(
        self, file: str, model: ModelDeployment | None, faults: Iterable[Fault]
    ) -> Iterator[LocatedFault]:
        """Yield faults that were found after parsing, with their file and line.

        Args:
            file: Where the model stands, or the class that was looked at.
            model: Whose fields the paths name; None where they name accelerator classes.
            faults: Without lines.
        """
        for fault in faults:
            if fault.line is not None:
                yield LocatedFault(file, fault)
                continue
            owner = _OF_A_CLASS.fullmatch(fault.path)
            if owner is not None:
                key = ("AcceleratorClass", "", owner["name"])
                path = owner["path"] or "spec"
                found = self._at(key, path, fault, self.manifests.documents)
                yield found if found.fault.line else LocatedFault(file, fault)
            elif model is not None:
                yield self._at(identity(model), fault.path, fault, [file])
            else:
                yield LocatedFault(file, fault)

    def _at(self, key: Identity, path: str, fault: Fault, files: Iterable[str]) -> LocatedFault:
        names = list(files)
        for file in names:
            for document in self.manifests.documents.get(file, ()):
                if _identity(document) == key:
                    return LocatedFault(file, fault.at_line(document.line_of(_parts(path))))
        return LocatedFault(names[0] if names else "", fault)


def read(names: Iterable[str]) -> Files:
    """Read the named files, ``-`` being standard input; all faults are in the answer."""
    texts: dict[str, str] = {}
    unread: list[LocatedFault] = []
    for name in names:
        try:
            texts[_shown(name)] = _text(name)
        except (OSError, UnicodeDecodeError) as error:
            words = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            allowed = f"the path of a YAML manifest, or {STANDARD_INPUT} for standard input"
            unread.append(Unread(_shown(name), Fault("", f"cannot be read ({words})", allowed)))
    manifests = read_manifests(texts.items())
    return Files(replace(manifests, faults=(*unread, *_all_faults(Files(manifests)))))


def read_valid(names: Iterable[str]) -> Files:
    """Read the named files.

    Raises:
        FaultsFoundError: Something in them is wrong, or there is no model in them.
    """
    files = read(names)
    if files.manifests.faults:
        raise FaultsFoundError(files.manifests.faults)
    if not files.manifests.models:
        names = ", ".join(files.manifests.documents)
        raise ManifestInvalid(
            f"{names}: found no ModelDeployment, only accelerator classes; "
            "give the file with the model too"
        )
    return files


def require_names_apart(files: Files) -> None:
    """Check that one Ray Serve can hold all models, whose applications bear their bare names.

    Raises:
        FaultsFoundError: Two have one name, be it in different namespaces.
    """
    allowed = "each name once, whatever the namespaces: one Ray Serve is to hold all models"
    faults = list(_same_names(files, _application_name, allowed))
    if faults:
        raise FaultsFoundError(faults)


def plan_all(
    files: Files, offline: bool, choose: Chooser | None = None
) -> list[tuple[str, Planned]]:
    """Return each model's file and its plan or the planner's refusal, in the order given.

    Args:
        files: The manifests.
        offline: Whether the hub must not be asked.
        choose: What considers other options than the manifests' own.

    Raises:
        SourceFaultsError: The sources of some cannot be read.
        FaultsFoundError: Some manifests must be changed. Either tells what each model lacks.
    """
    planned: list[tuple[str, Planned]] = []
    faults: list[LocatedFault] = []
    for file, model in files.manifests.models:
        chosen = functools.partial(choose, model) if choose is not None else None
        answer = plan_model(model, files.manifests.catalog, offline=offline, choose=chosen)
        if isinstance(answer, tuple):
            faults += files.locate(file, model, answer)
        else:
            planned.append((file, answer))
    if faults:
        of_sources = all(item.fault.path in SOURCE_FIELDS for item in faults)
        raise (SourceFaultsError if of_sources else FaultsFoundError)(faults)
    return planned


def _text(name: str) -> str:
    if name == STANDARD_INPUT:
        return sys.stdin.read()
    with open(name, encoding="utf-8") as file:
        return file.read()


def _shown(name: str) -> str:
    return "standard input" if name == STANDARD_INPUT else name


def _all_faults(files: Files) -> list[LocatedFault]:
    """Return every fault that needs no model to be described, in the order of the files."""
    allowed = "each name once in what is given"
    faults = [*files.manifests.faults, *_same_names(files, lambda key: key, allowed)]
    told = {(item.file, item.fault.line, item.fault.path) for item in faults}
    faults += [
        item
        for item in _beyond_the_fields(files)
        if (item.file, item.fault.line, item.fault.path) not in told
    ]
    order = list(files.manifests.documents)
    return sorted(faults, key=lambda item: (order.index(item.file), item.fault.line or 0))


def _application_name(key: Identity) -> str | None:
    """Return what Ray Serve will call an object; None for one that it never hears of."""
    kind, _, name = key
    return name if kind == "ModelDeployment" else None


def _same_names(
    files: Files, called: Callable[[Identity], Any], allowed: str
) -> Iterator[LocatedFault]:
    """Yield the objects that are called as an earlier one is.

    Args:
        files: The manifests.
        called: Takes an object's identity and returns what no other may be called; None to pass
            it over. The same identity twice in one file is told where that file is read.
        allowed: What is allowed instead.
    """
    seen: dict[Any, tuple[str, Identity, LocatedFault]] = {}
    for file, document in files.every_document():
        key = _identity(document)
        name = called(key) if key[0] and key[2] else None
        if name is None:
            continue
        line = document.line_of(("metadata", "name"))
        here = LocatedFault(file, Fault("metadata.name", "", allowed, line=line))
        first_file, first_key, first = seen.setdefault(name, (file, key, here))
        if (first_file, first_key) != (file, key):
            found = f"{key[2]!r}, which {first.place} has too"
            yield replace(here, fault=replace(here.fault, found=found))


def _beyond_the_fields(files: Files) -> Iterator[LocatedFault]:
    catalog = files.manifests.catalog
    for file, model in files.manifests.models:
        refused = check_arguments(model)
        told = {_subject(fault.path) for fault in refused}
        # an argument that the engine refuses needs no second reason
        more = faults_of_model(model, catalog.classes)
        apart = [fault for fault in more if _subject(fault.path) not in told]
        yield from files.locate(file, model, [*refused, *apart])
    yield from _unknown_classes_of_the_unread(files)
    for file, kind, name in files.objects():
        if kind == "AcceleratorClass" and name in catalog.classes:
            yield from files.locate(file, None, faults_of_class(name, catalog.classes))


def _subject(path: str) -> str:
    """Return what a fault is about: the whole of an engine argument, any other field itself."""
    argument = _OF_AN_ARGUMENT.match(path)
    return argument.group() if argument else path


def _unknown_classes_of_the_unread(files: Files) -> Iterator[LocatedFault]:
    """Yield the class names that no catalogue knows, of models whose fields have faults too."""
    read = {(file, identity(model)) for file, model in files.manifests.models}
    classes = files.manifests.catalog.classes
    for file, document in files.every_document():
        key = _identity(document)
        if key[0] != "ModelDeployment" or (file, key) in read:
            continue
        for i, accelerator in enumerate(_accelerators(document.data)):
            if isinstance(accelerator, str) and accelerator not in classes:
                path = ("spec", "hardware", "candidates", i, "accelerator")
                where = yaml_text.dotted(path)
                fault = unknown_name(where, accelerator, classes, "accelerator class")
                yield LocatedFault(file, fault.at_line(document.line_of(path)))


def _accelerators(data: Any) -> list[Any]:
    """Return what stands as accelerator of each candidate, whatever else is wrong around it."""
    for key in ("spec", "hardware", "candidates"):
        data = data.get(key) if isinstance(data, dict) else None
    items = data if isinstance(data, list) else []
    return [item.get("accelerator") if isinstance(item, dict) else None for item in items]


def _identity(document: yaml_text.Document) -> Identity:
    """Return the identity of what a document says it is, "" for what it does not say."""
    data = document.data if isinstance(document.data, dict) else {}
    metadata = data.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kind = _word(data.get("kind"))
    namespace = _word(metadata.get("namespace")) or DEFAULT_NAMESPACE
    return (kind, "" if kind == "AcceleratorClass" else namespace, _word(metadata.get("name")))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _parts(path: str) -> yaml_text.Path:
    """Return a path as the reader keeps it: ``a.b[0]`` is ``("a", "b", 0)``."""
    found = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return tuple(int(number) if number else word for number, word in found)
