"""A manifest's text to typed objects, or all that is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from freehold.api import yaml_text
from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.base import BROKEN_RULES, ApiModel
from freehold.api.faults import Fault, unknown_name
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import API_VERSION

KINDS: dict[str, type[ApiModel]] = {
    "ModelDeployment": ModelDeployment,
    "AcceleratorClass": AcceleratorClass,
}
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest holds.

    Attributes:
        models: Its ModelDeployments, in the order of the text.
        classes: Its AcceleratorClasses, likewise.
        faults: All that is wrong with it; when there are any, nothing may be applied.
    """

    models: tuple[ModelDeployment, ...]
    classes: tuple[AcceleratorClass, ...]
    faults: tuple[Fault, ...]


def parse_manifest(text: str) -> Manifest:
    """Read every document of a manifest; never raises for bad input."""
    models: list[ModelDeployment] = []
    classes: list[AcceleratorClass] = []
    faults: list[Fault] = []
    documents = list(yaml_text.read_documents(text))
    for document in documents:
        item, found = _parse_document(document)
        faults += found
        if isinstance(item, ModelDeployment):
            models.append(item)
        elif isinstance(item, AcceleratorClass):
            classes.append(item)
    faults += _repeated("ModelDeployment", [model.name for model in models])
    faults += _repeated("AcceleratorClass", [item.name for item in classes])
    if not documents:
        faults.append(Fault("", "no document", f"at least one {' or '.join(KINDS)}"))
    return Manifest(tuple(models), tuple(classes), tuple(faults))


def parse_object(data: Any) -> tuple[ApiModel | None, tuple[Fault, ...]]:
    """Read one object given as plain data, as the API server hands it out."""
    item, faults = _parse_document(yaml_text.Document(data=data))
    return item, tuple(faults)


def _repeated(kind: str, names: list[str]) -> list[Fault]:
    twice = sorted({name for name in names if names.count(name) > 1})
    return [
        Fault("metadata.name", f"{kind} {name!r} more than once", "each name once in what is given")
        for name in twice
    ]


def _parse_document(document: yaml_text.Document) -> tuple[ApiModel | None, list[Fault]]:
    if document.faults:
        return None, document.faults
    kind_faults = _check_kind(document.data)
    if kind_faults:
        return None, [fault.at_line(document.line_of((fault.path,))) for fault in kind_faults]
    model = KINDS[document.data["kind"]]
    try:
        # JSON mode: lists may be tuples, and still no text passes for a number
        return model.model_validate_json(json.dumps(document.data)), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults = [fault for detail in details for fault in _faults(detail, model, document)]
        return None, sorted(faults, key=lambda fault: fault.line or 0)


def _check_kind(data: Any) -> list[Fault]:
    if not isinstance(data, dict):
        return [Fault("", _shown(data), "a mapping with apiVersion, kind, metadata and spec")]
    faults = []
    if data.get("apiVersion") != API_VERSION:
        faults.append(Fault("apiVersion", _shown(data.get("apiVersion")), API_VERSION))
    kind = data.get("kind")
    if not isinstance(kind, str):
        faults.append(Fault("kind", _shown(kind), " or ".join(KINDS)))
    elif kind not in KINDS:
        faults.append(unknown_name("kind", kind, KINDS, "kind"))
    return faults


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."


def _faults(
    detail: ErrorDetails, model: type[ApiModel], document: yaml_text.Document
) -> list[Fault]:
    """Turn one of pydantic's errors into faults with path and line."""
    path = tuple(detail["loc"])
    if detail["type"] == BROKEN_RULES:
        return [_rule_fault(path, rule, document) for rule in detail["ctx"]["rules"]]
    line = document.line_of(path)
    where = yaml_text.dotted(path)
    if detail["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        return [unknown_name(where, str(path[-1]), known).at_line(line)]
    found = "nothing" if detail["type"] == "missing" else _shown(detail["input"])
    return [Fault(where, found, _allowed(detail), line=line)]


def _rule_fault(path: yaml_text.Path, rule: tuple[str, str], document: yaml_text.Document) -> Fault:
    field, allowed = rule
    full = (*path, *field.split(".")) if field else path
    data = document.data
    for part in full:
        known = isinstance(data, dict | list) and (isinstance(data, list) or part in data)
        data = data[part] if known else None
    line = document.line_of(full)
    return Fault(yaml_text.dotted(full), _shown(data), allowed, line=line)


def _allowed(detail: ErrorDetails) -> str:
    """Return pydantic's sentence, turned from a reproach into what is allowed."""
    if detail["type"] == "missing":
        return "a value; the field is required"
    message = detail["msg"]
    for prefix in ("Input should be ", "Value error, "):
        message = message.removeprefix(prefix)
    return message.replace("a valid dictionary", "a mapping").replace("an object", "a mapping")


def _fields_at(model: type[ApiModel], path: yaml_text.Path) -> list[str]:
    """Return the YAML names of the fields that the object at ``path`` may have."""
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        by_alias = {(f.alias or n): f.annotation for n, f in current.model_fields.items()}
        current = _model_in(by_alias[part])
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """Return the model inside ``Model``, ``Model | None`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
