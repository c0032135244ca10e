"""Reads manifest files, and finds the line that a fault belongs to."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from freehold.api import yaml_text
from freehold.api.faults import Fault, unknown_name
from freehold.compose import LocatedFault, Manifests, check_arguments, read_manifests
from freehold.errors import ManifestInvalid
from freehold.plan.checks import faults_of_class, faults_of_model

STANDARD_INPUT = "-"
_OF_A_CLASS = re.compile(r"AcceleratorClass (?P<name>[^\s:]+)(: (?P<path>.*))?")


class FaultsFoundError(ManifestInvalid):
    """What was given has faults; its text has one a line."""

    def __init__(self, faults: Iterable[LocatedFault]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Files:
    """The manifests of a command line.

    Attributes:
        manifests: What they hold; the faults carry lines. A file that cannot be read has no
            documents there.
    """

    manifests: Manifests

    def objects(self) -> Iterator[tuple[str, str, str]]:
        """Yield file, kind and name of every object that has a name."""
        for file, documents in self.manifests.documents.items():
            for document in documents:
                kind, name = _identity(document)
                if kind and name:
                    yield file, kind, name

    def locate(self, file: str, model: str, faults: Iterable[Fault]) -> Iterator[LocatedFault]:
        """Yield faults that were found after parsing, with their file and line."""
        for fault in faults:
            if fault.line is not None:
                yield LocatedFault(file, fault)
                continue
            owner = _OF_A_CLASS.fullmatch(fault.path)
            if owner is None:
                yield self._at("ModelDeployment", model, fault.path, fault, [file])
            else:
                path = owner["path"] or "spec"
                found = self._at(
                    "AcceleratorClass", owner["name"], path, fault, self.manifests.documents
                )
                yield found if found.fault.line else LocatedFault(file, fault)

    def _at(
        self, kind: str, name: str, path: str, fault: Fault, files: Iterable[str]
    ) -> LocatedFault:
        names = list(files)
        for file in names:
            for document in self.manifests.documents.get(file, ()):
                if _identity(document) == (kind, name):
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
            fault = Fault("", f"a file that cannot be read ({words})", "a YAML manifest")
            unread.append(LocatedFault(name, fault))
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


def _text(name: str) -> str:
    if name == STANDARD_INPUT:
        return sys.stdin.read()
    with open(name, encoding="utf-8") as file:
        return file.read()


def _shown(name: str) -> str:
    return "standard input" if name == STANDARD_INPUT else name


def _all_faults(files: Files) -> list[LocatedFault]:
    """Return every fault that needs no model to be described, in the order of the files."""
    faults = [*files.manifests.faults, *_arguments(files)]
    told = {(item.file, item.fault.line) for item in faults if item.fault.line}
    # what one list of arguments has refused needs no second reason
    faults += [it for it in _beyond_the_fields(files) if (it.file, it.fault.line) not in told]
    order = list(files.manifests.documents)
    return sorted(faults, key=lambda item: (order.index(item.file), item.fault.line or 0))


def _arguments(files: Files) -> Iterator[LocatedFault]:
    for file, model in files.manifests.models:
        yield from files.locate(file, model.name, check_arguments(model))


def _beyond_the_fields(files: Files) -> Iterator[LocatedFault]:
    catalog = files.manifests.catalog
    for file, model in files.manifests.models:
        yield from files.locate(file, model.name, faults_of_model(model, catalog.classes))
    yield from _unknown_classes_of_the_unread(files)
    for file, kind, name in files.objects():
        if kind == "AcceleratorClass" and name in catalog.classes:
            yield from files.locate(file, name, faults_of_class(name, catalog.classes))


def _unknown_classes_of_the_unread(files: Files) -> Iterator[LocatedFault]:
    """Yield the class names that no catalogue knows, of models whose fields have faults too."""
    read = {(file, model.name) for file, model in files.manifests.models}
    classes = files.manifests.catalog.classes
    for file, documents in files.manifests.documents.items():
        for document in documents:
            kind, name = _identity(document)
            if kind != "ModelDeployment" or (file, name) in read:
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


def _identity(document: yaml_text.Document) -> tuple[str, str]:
    data = document.data if isinstance(document.data, dict) else {}
    metadata = data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    kind = data.get("kind")
    return (kind if isinstance(kind, str) else "", name if isinstance(name, str) else "")


def _parts(path: str) -> yaml_text.Path:
    """Return a path as the reader keeps it: ``a.b[0]`` is ``("a", "b", 0)``."""
    found = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return tuple(int(number) if number else word for number, word in found)
