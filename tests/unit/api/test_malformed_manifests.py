"""Whatever is wrong with a manifest, it is refused with a fault that says where.

A valid manifest is broken by one random mutation after the other. Each mutation is made so that
its result is malformed for sure; what the types are is read from the CRD's schema.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.api.crd import custom_resource_definitions
from freehold.api.manifest import parse_manifest

TEXT = (Path(__file__).parents[2] / "data" / "manifests" / "full.yaml").read_text()
FULL: dict[str, Any] = yaml.safe_load(TEXT)
FOLLOWED = settings(
    derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
PRESERVED = "x-kubernetes-preserve-unknown-fields"
Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A value of the valid manifest with its schema and whether it must be there."""

    path: tuple[str | int, ...]
    schema: dict[str, Any]
    required: bool


def places(data: Any, schema: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Place]:
    if isinstance(data, dict) and PRESERVED not in schema:
        for key, child in schema.get("properties", {}).items():
            if key in data:
                yield Place((*path, key), child, key in schema.get("required", ()))
                yield from places(data[key], child, (*path, key))
    if isinstance(data, list):
        for index, item in enumerate(data):
            yield Place((*path, index), schema["items"], required=False)
            yield from places(item, schema["items"], (*path, index))


ROOT = custom_resource_definitions()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SPEC = ROOT["properties"]["spec"]
PLACES = [Place(("spec",), SPEC, required=True), *places(FULL["spec"], SPEC, ("spec",))]


def where(test: Callable[[Place], bool]) -> st.SearchStrategy[Place]:
    found = [place for place in PLACES if test(place)]
    assert found
    return st.sampled_from(found)


def changed(path: tuple[str | int, ...], value: Any) -> str:
    """Return the manifest with another value at ``path``; a value that is None goes."""
    data = copy.deepcopy(FULL)
    parent: Any = data
    for part in path[:-1]:
        parent = parent.setdefault(part, {}) if isinstance(part, str) else parent[part]
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return str(yaml.safe_dump(data, sort_keys=False))


def a_required_field_is_missing(draw: Draw) -> str:
    return changed(draw(where(lambda place: place.required)).path, None)


def a_field_is_misspelt(draw: Draw) -> str:
    place = draw(where(lambda place: isinstance(place.path[-1], str)))
    name = str(place.path[-1])
    letter = draw(st.sampled_from("qzxQZX_0"))
    at = draw(st.integers(0, len(name)))
    data = copy.deepcopy(FULL)
    parent: Any = data
    for part in place.path[:-1]:
        parent = parent[part]
    parent[name[:at] + letter + name[at:]] = parent.pop(name)
    return str(yaml.safe_dump(data))


def a_field_nobody_knows_is_added(draw: Draw) -> str:
    closed = where(lambda place: "properties" in place.schema)
    name = draw(st.text("abcdefgh", min_size=3, max_size=12))
    return changed((*draw(closed).path, f"x{name}"), draw(st.integers()))


OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(1, 9),
    "number": st.sampled_from([0.5, 1.25]),
    "string": st.text("ab1", max_size=5),
    "boolean": st.booleans(),
    "array": st.just([]),
    "object": st.just({}),
}


def a_value_is_of_another_type(draw: Draw) -> str:
    place = draw(st.sampled_from(PLACES))
    other = draw(st.sampled_from(sorted(OF_TYPE.keys() - {place.schema["type"]})))
    return changed(place.path, draw(OF_TYPE[other]))


def a_number_is_out_of_range(draw: Draw) -> str:
    place = draw(where(lambda place: place.schema["type"] == "integer"))
    below = st.integers(-(10**30), place.schema["minimum"] - 1)
    return changed(place.path, draw(below | st.integers(2**31, 10**30)))


def a_number_is_not_finite(draw: Draw) -> str:
    place = draw(where(lambda place: place.schema["type"] == "integer"))
    return changed(place.path, draw(st.sampled_from([float("nan"), float("inf"), -float("inf")])))


def a_text_does_not_fit_its_pattern(draw: Draw) -> str:
    place = draw(where(lambda place: "pattern" in place.schema))
    pattern = re.compile(place.schema["pattern"])
    unfit = st.text(max_size=20).filter(lambda text: not pattern.fullmatch(text))
    return changed(place.path, draw(unfit))


def a_text_is_too_long(draw: Draw) -> str:
    place = draw(where(lambda place: place.schema.get("maxLength", 10**6) < 10**6))
    return changed(place.path, "a" * (place.schema["maxLength"] + draw(st.integers(1, 50))))


def a_choice_is_none_of_those_offered(draw: Draw) -> str:
    place = draw(where(lambda place: "enum" in place.schema))
    other = st.text(max_size=12).filter(lambda text: text not in place.schema["enum"])
    return changed(place.path, draw(other))


def the_source_has_another_scheme(draw: Draw) -> str:
    scheme = draw(st.sampled_from(["http", "https", "ftp", "HF", "hf:", "", "git", "file:"]))
    return changed(("spec", "model", "source"), f"{scheme}://org/model")


def the_kind_or_version_is_another(draw: Draw) -> str:
    field = draw(st.sampled_from(["apiVersion", "kind"]))
    known = {"freehold.dev/v1alpha1", "ModelDeployment", "AcceleratorClass"}
    return changed((field,), draw(st.text(max_size=30).filter(lambda text: text not in known)))


def the_name_does_not_fit(draw: Draw) -> str:
    fits = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
    text = st.text("abcA-._0 \n", max_size=60).filter(lambda name: not fits.fullmatch(name))
    return changed(("metadata", "name"), draw(text))


def two_fields_exclude_each_other(draw: Draw) -> str:
    number = draw(st.integers(1, 1000))
    auto = ("spec", "autoscaling")
    endpoint = ("spec", "endpoint")
    cases: list[tuple[tuple[str | int, ...], Any]] = [
        (("spec", "replicas"), number),
        ((*auto, "minReplicas"), number),
        ((*auto, "minReplicas"), 8 + number),
        ((*endpoint, "authentication", "type"), "None"),
        ((*endpoint, "allowedNamespaces", "from"), draw(st.sampled_from(["Same", "All"]))),
        ((*endpoint, "allowedNamespaces", "selector"), None),
        (("spec", "model", "architecture", "keyValueHeads"), 128 + number),
        (("spec", "model", "architecture", "layers"), None),
    ]
    return changed(*draw(st.sampled_from(cases)))


def two_candidates_have_one_name(draw: Draw) -> str:
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=4, max_size=16))
    candidates = [{"name": name, "accelerator": "h100-80gb"} for name in names]
    return changed(("spec", "hardware", "candidates"), candidates)


def there_are_too_many_or_too_few_candidates(draw: Draw) -> str:
    count = draw(st.sampled_from([0, 17, 18, 40, 100]))
    candidates = [{"name": f"c{i}", "accelerator": "h100-80gb"} for i in range(count)]
    return changed(("spec", "hardware", "candidates"), candidates)


def a_line_is_written_twice(draw: Draw) -> str:
    lines = TEXT.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    return "\n".join([*lines[: at + 1], *lines[at:]])


def the_text_ends_before_the_source(draw: Draw) -> str:
    return TEXT[: draw(st.integers(1, TEXT.index("hf://") + len("hf://")))]


def a_control_character_slips_in(draw: Draw) -> str:
    at = draw(st.integers(0, len(TEXT)))
    letter = draw(st.sampled_from("\x00\x01\x07\x0b\x1b\ud800\ufffe"))
    return f"{TEXT[:at]}{letter}{TEXT[at:]}"


def something_stays_open_at_the_end(draw: Draw) -> str:
    return TEXT + str(draw(st.sampled_from(["x: [", "x: {", 'x: "', "x: '", "x: [a, {b: "])))


def a_key_is_no_text(draw: Draw) -> str:
    place = draw(where(lambda place: "properties" in place.schema))
    return changed((*place.path, draw(st.integers() | st.booleans())), "x")


def a_name_is_given_twice(draw: Draw) -> str:
    return "\n---\n".join([TEXT] * draw(st.integers(2, 4)))


MUTATIONS = [
    a_required_field_is_missing,
    a_field_is_misspelt,
    a_field_nobody_knows_is_added,
    a_value_is_of_another_type,
    a_number_is_out_of_range,
    a_number_is_not_finite,
    a_text_does_not_fit_its_pattern,
    a_text_is_too_long,
    a_choice_is_none_of_those_offered,
    the_source_has_another_scheme,
    the_kind_or_version_is_another,
    the_name_does_not_fit,
    two_fields_exclude_each_other,
    two_candidates_have_one_name,
    there_are_too_many_or_too_few_candidates,
    a_line_is_written_twice,
    the_text_ends_before_the_source,
    a_control_character_slips_in,
    something_stays_open_at_the_end,
    a_key_is_no_text,
    a_name_is_given_twice,
]


@st.composite
def malformed(draw: Draw) -> tuple[str, str]:
    mutation = draw(st.sampled_from(MUTATIONS))
    return mutation.__name__, mutation(draw)


def test_every_malformed_manifest_is_refused_with_a_place() -> None:
    texts: set[str] = set()
    kinds: Counter[str] = Counter()

    @settings(FOLLOWED, max_examples=600)
    @given(malformed())
    def refuses(case: tuple[str, str]) -> None:
        kind, text = case
        manifest = parse_manifest(text)
        assert manifest.faults
        for fault in manifest.faults:
            assert fault.path or fault.line, fault
            assert fault.found, fault
            assert fault.allowed, fault
            str(fault).encode()
        if text not in texts:
            texts.add(text)
            kinds[kind] += 1

    refuses()
    assert len(texts) >= 300, len(texts)
    assert kinds.keys() == {mutation.__name__ for mutation in MUTATIONS}


def test_a_fault_stands_where_the_mutation_was() -> None:
    @settings(FOLLOWED, max_examples=200)
    @given(st.data())
    def names_the_place(data: st.DataObject) -> None:
        place = data.draw(where(lambda place: place.schema["type"] == "integer"))
        value = data.draw(st.sampled_from(["x", [], {}, 0.5, -1, 2**31]))
        dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place.path)[1:]
        assert [f.path for f in parse_manifest(changed(place.path, value)).faults] == [dotted]

    names_the_place()


YAML_WORDS = st.sampled_from(
    [
        *"[]{}:,-?&*!|>%@`'\"#\n\t ~<=",
        *("&a", "*a", "<<: ", "!!int ", "!!set", "---\n", "...\n", "- ", ": ", "? ", "|2-\n"),
        *("%YAML 1.2\n", "0x", "0b_", "1e9", ".nan", "\\U", "\ufeff", "\ud8ff"),
        *TEXT.splitlines(keepends=True),
    ]
)


@settings(FOLLOWED, max_examples=400)
@given(st.text(max_size=200) | st.lists(YAML_WORDS, max_size=40).map("".join))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    manifest = parse_manifest(text)
    assert manifest.faults or manifest.models or manifest.classes


@settings(FOLLOWED, max_examples=200)
@given(st.data())
def test_no_edit_of_a_manifest_makes_the_parser_raise(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TEXT)))
    end = data.draw(st.integers(start, min(len(TEXT), start + 30)))
    manifest = parse_manifest(TEXT[:start] + data.draw(YAML_WORDS | st.text()) + TEXT[end:])
    assert manifest.faults or manifest.models
