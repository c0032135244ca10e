"""The CRDs are structural schemas that say what the types say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from freehold.api.crd import VALIDATIONS, custom_resource_definitions
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.scalars import MODEL_NAME

ROOT = Path(__file__).parents[3]
Schema = dict[str, Any]
MODEL, CLASS = custom_resource_definitions()
UNSEEN = ".status.observedGeneration"
NOT_STRUCTURAL = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "title", "exclusiveMinimum"}


def version(crd: Schema) -> Schema:
    (only,) = crd["spec"]["versions"]
    return dict(only)


def root(crd: Schema) -> Schema:
    return dict(version(crd)["schema"]["openAPIV3Schema"])


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from walk(schema[key], f"{path}[]")


def at(crd: Schema, path: str) -> Schema:
    return dict(walk(root(crd)))[path]


BOTH = pytest.mark.parametrize("crd", [MODEL, CLASS], ids=lambda crd: crd["spec"]["names"]["kind"])


@BOTH
def test_the_schema_is_structural(crd: Schema) -> None:
    for path, schema in walk(root(crd)):
        assert not NOT_STRUCTURAL & schema.keys(), path
        assert isinstance(schema["type"], str), path
        assert schema["type"] != "null", path
        assert schema.get("additionalProperties") is not False, path
        unknown = schema.keys() - {
            *("type", "description", "properties", "required", "items", "additionalProperties"),
            *("enum", "pattern", "format", "default", "minimum", "maximum", "minLength"),
            *("maxLength", "minItems", "maxItems", VALIDATIONS),
            *("x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
            "x-kubernetes-preserve-unknown-fields",
        }
        assert not unknown, path


@BOTH
def test_every_field_is_described_in_a_sentence(crd: Schema) -> None:
    for path, schema in walk(root(crd)):
        if path != ".metadata" and not path.endswith("[]"):
            assert schema["description"].endswith("."), path


@BOTH
def test_every_list_and_every_whole_number_is_bounded(crd: Schema) -> None:
    for path, schema in walk(root(crd)):
        if schema["type"] == "array":
            assert schema["maxItems"] <= 64, path
        if schema["type"] == "integer":
            assert schema["format"] == "int64", path
            # -1 is what a status that nobody wrote yet has observed
            assert schema["minimum"] in ((-1,) if path == UNSEEN else (0, 1)), path
            assert schema["maximum"] <= 2**31 - 1, path


@BOTH
def test_metadata_is_left_to_the_api_server(crd: Schema) -> None:
    assert at(crd, ".metadata") == {"type": "object"}
    assert root(crd)["required"] == ["spec"]


@BOTH
def test_the_keys_of_a_list_map_are_required(crd: Schema) -> None:
    lists = {p: s for p, s in walk(root(crd)) if s.get("x-kubernetes-list-type") == "map"}
    assert lists
    for path, schema in lists.items():
        assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"]), path


def test_the_lists_that_several_write_are_maps() -> None:
    keys = {p: s.get("x-kubernetes-list-map-keys") for p, s in walk(root(MODEL))}
    assert keys[".status.conditions"] == ["type"]
    assert keys[".spec.hardware.candidates"] == ["name"]
    assert keys[".spec.engine.images"] == ["accelerator"]
    assert at(CLASS, ".spec.nodeShapes")["x-kubernetes-list-map-keys"] == ["name"]
    assert at(CLASS, ".spec.features")["x-kubernetes-list-type"] == "set"


@pytest.mark.parametrize(
    ("crd", "wanted"),
    [
        (
            MODEL,
            {
                ".spec.managedBy": "freehold.dev/operator",
                ".spec.suspend": False,
                # the only one that is no user's: kstatus takes what bears no condition for settled
                ".status": {"observedGeneration": -1},
            },
        ),
        (CLASS, {}),
    ],
    ids=["ModelDeployment", "AcceleratorClass"],
)
def test_no_default_is_written_into_what_a_release_may_change(crd: Schema, wanted: Schema) -> None:
    assert {p: s["default"] for p, s in walk(root(crd)) if "default" in s} == wanted


def test_what_the_engine_and_the_pods_take_is_preserved() -> None:
    preserved = {p for p, s in walk(root(MODEL)) if "x-kubernetes-preserve-unknown-fields" in s}
    assert preserved == {".spec.engine.args", ".spec.templates.head", ".spec.templates.worker"}
    assert "additionalProperties" not in at(MODEL, ".spec.engine.args")


@pytest.mark.parametrize(
    ("crd", "path", "field_path", "message"),
    [
        (MODEL, ".spec", ".replicas", "one of replicas and autoscaling, not both"),
        (MODEL, ".spec.hardware", ".candidates", "candidates with different names"),
        (MODEL, ".spec.autoscaling", ".maxReplicas", "at least minReplicas"),
        (MODEL, ".spec.autoscaling", ".scaleToZeroAfter", "only with minReplicas 0"),
        (MODEL, ".spec.autoscaling.target", ".timeToFirstToken", "above 0"),
        (MODEL, ".spec.endpoint.authentication", ".secretRef", "only with type APIKey"),
        (
            MODEL,
            ".spec.endpoint.allowedNamespaces",
            ".selector",
            "present exactly when from is Selector",
        ),
        (
            MODEL,
            ".spec.endpoint.allowedNamespaces.selector.matchExpressions[]",
            ".values",
            "one or more with In and NotIn, none with Exists and DoesNotExist",
        ),
        (MODEL, ".spec.model.architecture", ".keyValueHeads", "at most attentionHeads"),
        (MODEL, ".spec.model.architecture", ".experts.layers", "at most layers"),
        (MODEL, ".spec.managedBy", None, "immutable"),
        (CLASS, ".spec", None, "extends, or vendor with memory and nodeShapes"),
    ],
)
def test_a_rule_stands_at_the_object_it_speaks_of(
    crd: Schema, path: str, field_path: str | None, message: str
) -> None:
    rules = at(crd, path)[VALIDATIONS]
    assert (field_path, message) in [(rule.get("fieldPath"), rule["message"]) for rule in rules]


@BOTH
def test_a_rule_reads_only_fields_that_the_schema_has(crd: Schema) -> None:
    for path, schema in walk(root(crd)):
        for rule in schema.get(VALIDATIONS, []):
            for field in re.findall(r"self\.(\w+)(?!\w*\()", rule["rule"]):
                assert field in schema["properties"], (path, rule["rule"])


def test_a_name_is_held_to_the_sentence_of_the_command_line() -> None:
    (rule, taken, _) = root(MODEL)[VALIDATIONS]
    assert MODEL_NAME.pattern in rule["rule"]
    assert "size() <= 40" in rule["rule"]
    assert MODEL_NAME.allowed in rule["message"]
    assert "endsWith('-head-svc')" in taken["rule"]
    assert taken["message"].startswith("metadata.name: ")
    assert VALIDATIONS not in root(CLASS)


def test_the_secret_that_is_made_is_nobody_else_s() -> None:
    (*_, rule) = root(MODEL)[VALIDATIONS]
    assert rule["message"].startswith("spec.endpoint.authentication.secretRef.name: another name")
    assert "self.metadata.name + '-api-key'" in rule["rule"]


def test_the_names_are_those_that_people_type() -> None:
    names = MODEL["spec"]["names"]
    assert (names["plural"], names["shortNames"]) == ("modeldeployments", ["fmd"])
    assert MODEL["spec"]["scope"] == "Namespaced"
    names = CLASS["spec"]["names"]
    assert (names["plural"], names["shortNames"]) == ("acceleratorclasses", ["facc"])
    assert CLASS["spec"]["scope"] == "Cluster"


def test_status_and_scale_are_subresources_of_a_model_deployment() -> None:
    subresources = version(MODEL)["subresources"]
    assert subresources["status"] == {}
    fields = dict(walk(root(MODEL)))
    assert set(subresources["scale"].values()) <= fields.keys()
    assert "subresources" not in version(CLASS)


@BOTH
def test_a_printed_column_shows_a_field_that_exists(crd: Schema) -> None:
    fields = dict(walk(root(crd)))
    for column in version(crd)["additionalPrinterColumns"]:
        path = re.sub(r"\[[^]]*\]", "[]", column["jsonPath"])
        assert path in fields or path == ".metadata.creationTimestamp", column


def test_the_columns_are_those_of_the_documentation() -> None:
    def names(crd: Schema, wide: bool) -> list[str]:
        columns = version(crd)["additionalPrinterColumns"]
        return [column["name"] for column in columns if bool(column.get("priority")) is wide]

    assert names(MODEL, wide=False) == [
        *("Ready", "Reason", "Desired", "ReadyReplicas", "Accelerator", "Age")
    ]
    assert names(MODEL, wide=True) == ["Running", "Queued", "Cost", "Address"]
    assert names(CLASS, wide=False) == ["Vendor", "Memory", "Provisionable", "Age"]


def test_the_files_are_generated_and_small_enough_for_a_client_side_apply() -> None:
    run = [sys.executable, str(ROOT / "hack" / "generate_crds.py"), "--check"]
    result = subprocess.run(run, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    for path in (ROOT / "crds").iterdir():
        assert path.stat().st_size < 256 * 1024, path.name
        assert path.read_text(encoding="utf-8").startswith("# generated by hack/generate_crds.py")
        assert yaml.safe_load(path.read_text(encoding="utf-8")) in (MODEL, CLASS)


def test_every_field_of_the_type_is_in_the_schema() -> None:
    spec = ModelDeployment.model_fields["spec"].annotation
    assert spec is not None
    aliases = {field.alias for field in spec.model_fields.values()}
    assert at(MODEL, ".spec")["properties"].keys() == aliases
