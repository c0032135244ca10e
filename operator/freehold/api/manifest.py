"""A manifest's text to typed objects, or all that is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from freehold.api import yaml_text
from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.base import BROKEN_RULES, ApiModel, Rule
from freehold.api.faults import Fault, unknown_name
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import API_VERSION
from freehold.api.partial import broken_rules, model_in, without_nulls

# kubectl's, for an object that does not say
DEFAULT_NAMESPACE = "default"
KINDS: dict[str, type[ApiModel]] = {
    "ModelDeployment": ModelDeployment,
    "AcceleratorClass": AcceleratorClass,
}
_ALLOWED = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "text; quote a number, a date or yes and no",
    "int_type": "a whole number",
    "bool_type": "true or false",
}


T = TypeVar("T", bound=ApiModel)
# Kind, namespace and name: what no two objects share.
Identity = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest holds.

    Attributes:
        models: Its ModelDeployments, in the order of the text.
        classes: Its AcceleratorClasses, likewise.
        faults: All that is wrong with it; when there are any, nothing may be applied.
        documents: What it was read from, which knows the line of every path.
    """

    models: tuple[ModelDeployment, ...]
    classes: tuple[AcceleratorClass, ...]
    faults: tuple[Fault, ...]
    documents: tuple[yaml_text.Document, ...]


def parse_manifest(text: str) -> Manifest:
    """Read every document of a manifest; never raises for bad input."""
    models: list[ModelDeployment] = []
    classes: list[AcceleratorClass] = []
    faults: list[Fault] = []
    seen: set[Identity] = set()
    documents = tuple(yaml_text.read_documents(text))
    for document in documents:
        item, found = _parse_document(document)
        faults += found or _repeated(item, seen, document)
        if isinstance(item, ModelDeployment):
            models.append(item)
        elif isinstance(item, AcceleratorClass):
            classes.append(item)
    if not documents:
        faults.append(Fault("", "no document", f"at least one {' or '.join(KINDS)}"))
    return Manifest(tuple(models), tuple(classes), tuple(faults), documents)


def parse_object(data: Any) -> tuple[ApiModel | None, tuple[Fault, ...]]:
    """Read one object given as plain data, as the API server hands it out."""
    item, faults = _parse_document(yaml_text.Document(data=data))
    return item, tuple(faults)


def parse_part(model: type[T], data: dict[str, Any]) -> T | tuple[Fault, ...]:
    """Read plain data as a type that is no kind of its own."""
    item, faults = _parse_as(model, data, yaml_text.Document(data=data))
    return item if item is not None else tuple(faults)


def identity(item: ModelDeployment | AcceleratorClass) -> Identity:
    """Return what tells an object from all others; a class has no namespace."""
    if isinstance(item, AcceleratorClass):
        return ("AcceleratorClass", "", item.name)
    return ("ModelDeployment", item.metadata.namespace or DEFAULT_NAMESPACE, item.name)


def _repeated(
    item: ApiModel | None, seen: set[Identity], document: yaml_text.Document
) -> list[Fault]:
    """Return the fault of an object that was there before; notes the object as seen."""
    if not isinstance(item, ModelDeployment | AcceleratorClass):
        return []
    key = identity(item)
    if key not in seen:
        seen.add(key)
        return []
    line = document.line_of(("metadata", "name"))
    found = f"{key[0]} {item.name!r} a second time"
    return [Fault("metadata.name", found, "each name once in what is given", line=line)]


def _parse_document(document: yaml_text.Document) -> tuple[ApiModel | None, list[Fault]]:
    faults = list(document.faults)
    item = None
    if document.data is not None or not faults:
        item, more = _parse_data(document)
        told = {fault.path for fault in faults}
        faults += [fault for fault in more if fault.path not in told]
    if faults:
        return None, sorted(faults, key=lambda fault: fault.line or 0)
    return item, []


def _parse_data(document: yaml_text.Document) -> tuple[ApiModel | None, list[Fault]]:
    kind_faults = _check_kind(document.data)
    if kind_faults:
        return None, [fault.at_line(document.line_of((fault.path,))) for fault in kind_faults]
    model = KINDS[document.data["kind"]]
    return _parse_as(model, _without_status(model, document.data), document)


def _parse_as(
    model: type[T], given: dict[str, Any], document: yaml_text.Document
) -> tuple[T | None, list[Fault]]:
    data = without_nulls(model, given)
    try:
        # JSON mode: lists may be tuples, and still no text passes for a number
        text = json.dumps(data)
        return model.model_validate_json(text, by_alias=True, by_name=False), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    wrong = [detail for detail in details if _is_true(detail)]
    faults = [_fault(detail, model, document) for detail in wrong]
    broken = broken_rules(model, data, {tuple(detail["loc"]) for detail in wrong})
    return None, faults + [_rule_fault(path, rule, document) for path, rule in broken]


def _without_status(model: type[ApiModel], data: dict[str, Any]) -> dict[str, Any]:
    """Return an object without its status, where its kind has one.

    It is the operator's: the API server takes none from a manifest, and one that a newer operator
    wrote may have fields that this one does not know.
    """
    kept = "status" not in model.model_fields
    return {name: value for name, value in data.items() if kept or name != "status"}


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
    return "nothing" if value is None else yaml_text.shorten(json.dumps(value, ensure_ascii=False))


def _fault(detail: ErrorDetails, model: type[ApiModel], document: yaml_text.Document) -> Fault:
    """Turn one of pydantic's errors into a fault with path and line."""
    path = tuple(detail["loc"])
    line = document.line_of(path)
    where = yaml_text.dotted(path)
    if detail["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        return unknown_name(where, str(path[-1]), known).at_line(line)
    found = "nothing" if detail["type"] == "missing" else _shown(detail["input"])
    return Fault(where, found, _allowed(detail), line=line)


def _is_true(detail: ErrorDetails) -> bool:
    """Say whether an error is one of a field, and not only the echo of one.

    pydantic calls a list too short when its items are wrong, since it counts the right ones.
    """
    if detail["type"] == "too_short":
        return bool(len(detail["input"]) < detail["ctx"]["min_length"])
    return detail["type"] != BROKEN_RULES


def _rule_fault(path: yaml_text.Path, rule: Rule, document: yaml_text.Document) -> Fault:
    full = (*path, *rule.field.split(".")) if rule.field else path
    data = document.data
    for part in full:
        known = isinstance(data, list) or (isinstance(data, dict) and part in data)
        data = data[part] if known else None
    return Fault(yaml_text.dotted(full), _shown(data), rule.message, line=document.line_of(full))


def _allowed(detail: ErrorDetails) -> str:
    """Return pydantic's sentence, turned from a reproach into what is allowed."""
    limits = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "a value; the field is required"
        case "too_short":
            return f"{limits['min_length']} or more items"
        case "too_long":
            return f"{limits['max_length']} or fewer items"
        case "string_too_short":
            return f"{limits['min_length']} or more characters"
        case "string_too_long":
            return f"{limits['max_length']} or fewer characters"
        case kind if kind in _ALLOWED:
            return _ALLOWED[kind]
    return detail["msg"].removeprefix("Input should be ")


def _fields_at(model: type[ApiModel], path: yaml_text.Path) -> list[str]:
    """Return the YAML names of the fields that the object at ``path`` may have."""
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        by_alias = {(f.alias or n): f.annotation for n, f in current.model_fields.items()}
        current = model_in(by_alias[part])
    return [field.alias or name for name, field in current.model_fields.items()]
