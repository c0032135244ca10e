"""The API types as CustomResourceDefinitions.

A CRD needs a *structural* schema, which is less than the JSON schema that pydantic writes: no
references, no null, no ``const``, every field with a type. What pydantic cannot say (conditions
between fields) is written as CEL from the same ``Rule`` that the CLI checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.base import ApiModel, Rule
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import GROUP, VERSION
from freehold.api.scalars import MODEL_NAME
from freehold.api.status import UNSEEN

Schema = dict[str, Any]

VALIDATIONS = "x-kubernetes-validations"
# Any other default belongs to the operator: one in the schema would be written into the user's
# object, where a later release could no longer change it and a GitOps engine would see a diff.
_KEPT_DEFAULTS = {("spec", "managedBy"), ("spec", "suspend")}
_DROPPED = {"$defs", "title", "default", "additionalProperties", "const"}
_NULL = {"type": "null"}

_META: dict[str, Schema] = {
    "apiVersion": {"type": "string", "description": f"Always {GROUP}/{VERSION}."},
    "kind": {"type": "string", "description": "Kind of the object."},
    "metadata": {"type": "object"},
}


def custom_resource_definitions() -> list[dict[str, Any]]:
    """Return the CRDs of both kinds, as they are applied."""
    return [_model_deployment(), _accelerator_class()]


def _model_deployment() -> dict[str, Any]:
    schema = _root_schema(ModelDeployment)
    schema[VALIDATIONS] = [_name_rule(), *map(_rule_of_metadata, ModelDeployment.rules)]
    # what no operator has looked at would else pass for settled, for want of any condition
    schema["properties"]["status"]["default"] = {"observedGeneration": UNSEEN}
    version = {
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            _column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
            _column("Desired", ".status.desiredReplicas", "integer"),
            _column("ReadyReplicas", ".status.readyReplicas", "integer"),
            _column("Accelerator", ".status.plan.accelerator"),
            _column("Running", ".status.scaling.running", "integer", priority=1),
            _column("Queued", ".status.scaling.queued", "integer", priority=1),
            _column("Cost", ".status.plan.hourlyCost.amount", priority=1),
            _column("Address", ".status.addresses[0].url", priority=1),
            _AGE,
        ],
    }
    names = {
        "plural": "modeldeployments",
        "singular": "modeldeployment",
        "shortNames": ["fmd"],
        "categories": ["freehold"],
    }
    return _definition(ModelDeployment, names, "Namespaced", schema, version)


def _accelerator_class() -> dict[str, Any]:
    version = {
        "additionalPrinterColumns": [
            _column("Vendor", ".spec.vendor"),
            _column("Memory", ".spec.memory"),
            _column("Provisionable", ".spec.provisionable", "boolean"),
            _column("Extends", ".spec.extends", priority=1),
            _column("Features", ".spec.features", priority=1),
            _AGE,
        ]
    }
    names = {
        "plural": "acceleratorclasses",
        "singular": "acceleratorclass",
        "shortNames": ["facc"],
        "categories": ["freehold"],
    }
    return _definition(AcceleratorClass, names, "Cluster", _root_schema(AcceleratorClass), version)


def _definition(
    model: type[ApiModel], names: Schema, scope: str, schema: Schema, version: Schema
) -> dict[str, Any]:
    kind = model.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"kind": kind, "listKind": f"{kind}List", **names},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    **version,
                }
            ],
        },
    }


def _column(name: str, path: str, kind: str = "string", priority: int = 0) -> Schema:
    column = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "priority": priority} if priority else column


_AGE = _column("Age", ".metadata.creationTimestamp", "date")


def _name_rule() -> Schema:
    """Hold the object's name to what its children's names have room for.

    The schema of ``metadata`` may not say it: a pattern there has no sentence of its own.
    """
    name = "self.metadata.name"
    rule = f"{name}.size() <= {MODEL_NAME.max_length} && {name}.matches('{MODEL_NAME.pattern}')"
    return {"rule": rule, "message": f"metadata.name: {MODEL_NAME.allowed}"}


def _rule_of_metadata(rule: Rule) -> Schema:
    """Return a rule whose field the schema does not have, so that its sentence must name it."""
    return {"rule": rule.cel, "message": f"{rule.field}: {rule.message}"}


def _validation(rule: Rule) -> Schema:
    validation = {"rule": rule.cel, "message": rule.message}
    return {**validation, "fieldPath": f".{rule.field}"} if rule.field else validation


class _WithRules(GenerateJsonSchema):
    """pydantic's generator, with each model's rules as CEL in the model's own schema."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        result = super().model_schema(schema)
        rules: tuple[Rule, ...] = schema["cls"].rules
        if rules:
            result[VALIDATIONS] = [_validation(rule) for rule in rules]
        return result


def _root_schema(model: type[ApiModel]) -> Schema:
    raw = model.model_json_schema(by_alias=True, schema_generator=_WithRules)
    schema = _structural(raw, raw.get("$defs", {}), ())
    schema["properties"] |= _META
    schema["required"] = [name for name in schema["required"] if name not in _META]
    return schema


def _structural(raw: Schema, definitions: Schema, path: tuple[str, ...]) -> Schema:
    """Return the structural schema of the field at ``path``."""
    raw = _resolved(raw, definitions)
    schema = {key: value for key, value in raw.items() if key not in _DROPPED}
    schema |= dict(_rewritten(raw, path))
    if "properties" in raw:
        schema["properties"] = {
            name: _structural(child, definitions, (*path, name))
            for name, child in raw["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        # additionalProperties is a bool where a model is closed or a mapping holds anything
        if isinstance(raw.get(key), dict):
            schema[key] = _structural(raw[key], definitions, (*path, key))
    return schema


def _resolved(raw: Schema, definitions: Schema) -> Schema:
    """Return ``raw`` with its reference or its only alternative to null put in its place.

    What stands beside the reference (a field's description) wins over what it points to.
    """
    if "$ref" in raw:
        target = definitions[raw["$ref"].removeprefix("#/$defs/")]
        rest = {key: value for key, value in raw.items() if key != "$ref"}
        return _resolved({**target, **rest}, definitions)
    if "anyOf" in raw:
        (only,) = [choice for choice in raw["anyOf"] if choice != _NULL]
        rest = {key: value for key, value in raw.items() if key != "anyOf"}
        return _resolved({**only, **rest}, definitions)
    return raw


def _rewritten(raw: Schema, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if "const" in raw:
        yield "enum", [raw["const"]]
    if raw.get("type") == "integer":
        yield "format", "int64"
    if path in _KEPT_DEFAULTS:
        yield "default", raw["default"]
