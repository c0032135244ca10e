"""Loads the catalogue that ships inside the package."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.architecture import ModelDescription

# libyaml where PyYAML was built with it: the files are long, and every command reads them.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A checkpoint of the catalogue.

    Attributes:
        repository: Its id on the hub, as written there.
        description: Shape and checkpoint.
        gated: Whether the hub asks for an accepted licence.
    """

    repository: str
    description: ModelDescription
    gated: bool


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is known without looking anywhere.

    Attributes:
        models: By repository id, in lower case.
        classes: Accelerator classes by name.
    """

    models: Mapping[str, KnownModel]
    classes: Mapping[str, AcceleratorClass]

    def model(self, repository: str) -> KnownModel | None:
        """Return the model with this hub id, whatever its case."""
        return self.models.get(repository.lower())

    def with_classes(self, classes: Iterable[AcceleratorClass]) -> Catalog:
        """Return a catalogue where the user's classes stand before the built-in ones."""
        own = {item.name: item for item in classes}
        return Catalog(self.models, MappingProxyType({**self.classes, **own}))

    def with_image_registry(self, registry: str) -> Catalog:
        """Return a catalogue whose classes' images all come from one registry.

        The path of an image stays: ``docker.io/rayproject/ray-llm`` is looked for as
        ``REGISTRY/rayproject/ray-llm``, as mirrors keep it.
        """
        classes = {name: _from_registry(item, registry) for name, item in self.classes.items()}
        return Catalog(self.models, MappingProxyType(classes))


def _from_registry(item: AcceleratorClass, registry: str) -> AcceleratorClass:
    images = tuple(
        image.model_copy(update={"image": f"{registry.rstrip('/')}/{_image_path(image.image)}"})
        for image in item.spec.images or ()
    )
    if not images:
        return item
    return item.model_copy(update={"spec": item.spec.model_copy(update={"images": images})})


def _image_path(image: str) -> str:
    """Return an image without its registry: a first part that looks like a host's name."""
    first, slash, rest = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return rest if is_host else image


@functools.cache
def builtin_catalog() -> Catalog:
    """Return the built-in catalogue; read once in a process."""
    return Catalog(MappingProxyType(_models()), MappingProxyType(_classes()))


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _classes() -> dict[str, AcceleratorClass]:
    documents = yaml.load_all(_text("accelerators.yaml"), Loader=_Loader)
    items = [AcceleratorClass.model_validate_json(json.dumps(data)) for data in documents]
    return {item.name: item for item in items}


def _models() -> dict[str, KnownModel]:
    data = yaml.load(_text("models.yaml"), Loader=_Loader)
    shapes = {item["name"]: _without(item, "name", "source") for item in data["architectures"]}
    known = [_known(item, shapes[item["architecture"]]) for item in data["checkpoints"]]
    return {item.repository.lower(): item for item in known}


def _without(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in names}


def _known(item: Mapping[str, Any], shape: Mapping[str, Any]) -> KnownModel:
    names = {"precision", "quantization", "blockSize"}
    checkpoint = {key: value for key, value in item.items() if key in names}
    checkpoint["size"] = str(item["weightBytes"])
    longest = item.get("maxContextLength", shape["maxContextLength"])
    described = {**shape, "maxContextLength": longest, "checkpoint": checkpoint}
    description = ModelDescription.model_validate_json(json.dumps(described))
    return KnownModel(item["repository"], description, bool(item.get("gated")))
