"""What is wrong with a manifest is told by path, by line and all at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from freehold.api.faults import Fault
from freehold.api.manifest import parse_manifest, parse_object

FULL = (Path(__file__).parents[2] / "data" / "manifests" / "full.yaml").read_text()
HEAD = "apiVersion: freehold.dev/v1alpha1\nkind: ModelDeployment\nmetadata:\n  name: m\n"
SMALL = f"{HEAD}spec:\n  model:\n    source: hf://org/model\n"  # 7 lines; the next is line 8
CLASS = """apiVersion: freehold.dev/v1alpha1
kind: AcceleratorClass
metadata:
  name: h100-80gb
spec:
"""
SHAPES = "  nodeShapes:\n  - {name: a, provider: aws, devices: 8}\n"


def hardware(*candidates: str) -> str:
    lines = "".join(f"    - {candidate}\n" for candidate in candidates)
    return f"{SMALL}  hardware:\n    candidates:\n{lines}"


def autoscaling(*fields: str) -> str:
    return f"{SMALL}  autoscaling:\n" + "".join(f"    {field}\n" for field in fields)


def the_fault(text: str) -> Fault:
    manifest = parse_manifest(text)
    assert len(manifest.faults) == 1, [str(fault) for fault in manifest.faults]
    return manifest.faults[0]


def test_a_full_manifest_is_read_as_written() -> None:
    manifest = parse_manifest(FULL)
    assert manifest.faults == ()
    (model,) = manifest.models
    assert model.name == "llama-3-1-405b"
    assert model.served_name == "llama-3.1-405b"
    assert model.spec.autoscaling is not None
    assert model.spec.autoscaling.scale_to_zero_after == "10m"
    assert model.spec.engine is not None
    assert model.spec.engine.args == {"max_num_seqs": 128, "enable_prefix_caching": True}
    again, faults = parse_object(model.to_dict())
    assert (again, faults) == (model, ())


FIELD_FAULTS = {
    "a source with an unknown scheme": (
        SMALL.replace("hf://", "ftp://"),
        ("spec.model.source", '"ftp://org/model"', "hf://ORG/MODEL", 7),
    ),
    "a source with a control character": (
        SMALL.replace("hf://org/model", '"file:///srv/\\0"'),
        ("spec.model.source", '"file:///srv/\\u0000"', "file:///ABSOLUTE/PATH", 7),
    ),
    "a source whose host no URL may have": (
        SMALL.replace("hf://org/model", '"s3://[bucket/model"'),
        ("spec.model.source", '"s3://[bucket/model"', "s3://BUCKET/PATH", 7),
    ),
    "a candidate that is a list": (
        hardware("{name: a, accelerator: b}", "[]"),
        ("spec.hardware.candidates[1]", "[]", "a mapping", 11),
    ),
    "two images for one accelerator": (
        f"{SMALL}  engine:\n    images: [{', '.join(['{accelerator: a, image: x}'] * 2)}]\n",
        ("spec.engine.images", '[{"accelerator": "a"', "images for different accelerators", 9),
    ),
    "two shapes of one name": (
        f"{CLASS}  extends: cpu\n{SHAPES}  - {{name: a, provider: gcp, devices: 4}}\n",
        ("spec.nodeShapes", '[{"name": "a"', "shapes with different names", 7),
    ),
    "a feature twice": (
        f"{CLASS}  extends: cpu\n  features: [bf16, fp8, bf16]\n",
        ("spec.features", '["bf16", "fp8", "bf16"]', "each feature once", 7),
    ),
    "a source without anything behind the scheme": (
        SMALL.replace("org/model", ""),
        ("spec.model.source", '"hf://"', "file:///ABSOLUTE/PATH", 7),
    ),
    "no model": (f"{HEAD}spec:\n  suspend: false\n", ("spec.model", "nothing", "required", 5)),
    "no spec": (HEAD, ("spec", "nothing", "required", 1)),
    "no name": (
        SMALL.replace("name: m", "namespace: m"),
        ("metadata.name", "nothing", "required", 3),
    ),
    "a name that does not fit a label": (
        SMALL.replace("name: m", "name: Llama_3"),
        ("metadata.name", '"Llama_3"', "beginning with a letter", 4),
    ),
    "a name that is too long": (
        SMALL.replace("name: m", f"name: m{'x' * 40}"),
        ("metadata.name", "mxxx", "at most 40 characters", 4),
    ),
    "a name that KubeRay gives a Service": (
        SMALL.replace("name: m", "name: m-head-svc"),
        ("metadata.name", '"m-head-svc"', "does not end in -head-svc or -serve-svc", 4),
    ),
    "a name that ends in a newline": (
        SMALL.replace("name: m", r'name: "abc\n"'),
        ("metadata.name", r'"abc\n"', "at most 40 characters", 4),
    ),
    "a name that is a number": (
        SMALL.replace("name: m", "name: 405"),
        ("metadata.name", "405", "text; quote a number", 4),
    ),
    "a misspelt field": (
        f"{SMALL}  replcas: 2\n",
        ("spec.replcas", "unknown field 'replcas'", "replicas", 8),
    ),
    "a field by its name in Python": (
        f"{SMALL}  service_account_name: a\n",
        ("spec.service_account_name", "unknown field", "serviceAccountName", 8),
    ),
    "a number in quotes": (
        f"{SMALL}  replicas: '2'\n",
        ("spec.replicas", '"2"', "a whole number", 8),
    ),
    "a number with a fraction": (
        f"{SMALL}  replicas: 2.5\n",
        ("spec.replicas", "2.5", "a whole number", 8),
    ),
    "a negative number": (
        f"{SMALL}  replicas: -1\n",
        ("spec.replicas", "-1", "greater than or equal to 0", 8),
    ),
    "a number beyond 31 bits": (
        f"{SMALL}  replicas: 1e+300\n",
        ("spec.replicas", "1000", "less than or equal to 2147483647", 8),
    ),
    "more stages than any replica has": (
        hardware("{name: a, accelerator: x, parallelism: {pipeline: 257}}"),
        ("spec.hardware.candidates[0].parallelism.pipeline", "257", "equal to 256", 10),
    ),
    "a truth value in place of a number": (
        f"{SMALL}  replicas: true\n",
        ("spec.replicas", "true", "a whole number", 8),
    ),
    "a text in place of a truth value": (
        f"{SMALL}  suspend: 'true'\n",
        ("spec.suspend", '"true"', "true or false", 8),
    ),
    "yes as a label's value": (
        SMALL.replace("name: m", "name: m\n  labels:\n    ready: yes"),
        ("metadata.labels.ready", "true", "quote a number, a date or yes and no", 6),
    ),
    "a list in place of a mapping": (
        f"{SMALL}  workload:\n  - promptTokens: 1\n",
        ("spec.workload", "promptTokens", "a mapping", 8),
    ),
    "a mapping in place of a list": (
        f"{SMALL}  hardware:\n    candidates:\n      name: a\n",
        ("spec.hardware.candidates", '{"name": "a"}', "a list", 9),
    ),
    "no candidates": (
        f"{SMALL}  hardware: {{candidates: []}}\n",
        ("spec.hardware.candidates", "[]", "1 or more items", 8),
    ),
    "a candidate without an accelerator": (
        hardware("{name: a, accelerator: x}", "{name: b}"),
        ("spec.hardware.candidates[1].accelerator", "nothing", "required", 11),
    ),
    "an unknown kind of purchase": (
        hardware("{name: a, accelerator: x, purchase: spot}"),
        ("spec.hardware.candidates[0].purchase", '"spot"', "'OnDemand' or 'Spot'", 10),
    ),
    "a duration without a unit": (
        f"{SMALL}  rollout: {{progressDeadline: '30'}}\n",
        ("spec.rollout.progressDeadline", '"30"', "a duration such as", 8),
    ),
    "a served name with a colon": (
        f"{SMALL}    servedName: a:b\n",
        ("spec.model.servedName", '"a:b"', "without ':'", 8),
    ),
    "a wrong group": (
        SMALL.replace("freehold.dev/v1alpha1", "freehold.dev/v1"),
        ("apiVersion", '"freehold.dev/v1"', "freehold.dev/v1alpha1", 1),
    ),
    "a misspelt kind": (
        SMALL.replace("ModelDeployment", "ModelDeploymnt"),
        ("kind", "unknown kind 'ModelDeploymnt'", "ModelDeployment", 2),
    ),
    "no kind": (
        SMALL.replace("kind: ModelDeployment\n", ""),
        ("kind", "nothing", "ModelDeployment or AcceleratorClass", 1),
    ),
    "a feature that no accelerator has": (
        f"{CLASS}  extends: a\n  features: [fp9]\n",
        ("spec.features[0]", '"fp9"', "'fp8'", 7),
    ),
    "a price that is a number": (
        f"{CLASS}  vendor: nvidia\n  memory: 80Gi\n  nodeShapes:\n  - name: a\n    provider: aws\n"
        "    devices: 8\n    prices:\n    - {purchase: Spot, amount: 6.88, currency: USD}\n",
        ("spec.nodeShapes[0].prices[0].amount", "6.88", "text; quote a number", 13),
    ),
}

RULE_FAULTS = {
    "replicas together with autoscaling": (
        f"{SMALL}  replicas: 1\n  autoscaling: {{minReplicas: 0, maxReplicas: 1}}\n",
        ("spec.replicas", "1", "one of replicas and autoscaling, not both", 8),
    ),
    "fewer replicas at most than at least": (
        autoscaling("minReplicas: 3", "maxReplicas: 2"),
        ("spec.autoscaling.maxReplicas", "2", "at least minReplicas", 10),
    ),
    "scaling to zero with a replica that stays": (
        autoscaling("minReplicas: 1", "maxReplicas: 2", "scaleToZeroAfter: 5m"),
        ("spec.autoscaling.scaleToZeroAfter", '"5m"', "only with minReplicas 0", 11),
    ),
    "no time at all": (
        autoscaling("minReplicas: 1", "maxReplicas: 2", "target: {timeToFirstToken: 0s}"),
        ("spec.autoscaling.target.timeToFirstToken", '"0s"', "above 0", 11),
    ),
    "two candidates of one name": (
        hardware("{name: a, accelerator: x}", "{name: a, accelerator: z}"),
        ("spec.hardware.candidates", "[{", "candidates with different names", 9),
    ),
    "keys where nobody is asked for one": (
        f"{SMALL}  endpoint:\n    authentication: {{type: None, secretRef: {{name: a}}}}\n",
        ("spec.endpoint.authentication.secretRef", '{"name": "a"}', "only with type APIKey", 9),
    ),
    "keys in the Secret that is made": (
        f"{SMALL}  endpoint:\n    authentication:\n      type: APIKey\n"
        "      secretRef: {name: m-api-key}\n",
        (
            "spec.endpoint.authentication.secretRef.name",
            '"m-api-key"',
            "another name than that of the Secret that is made",
            11,
        ),
    ),
    "a selector that is not used": (
        f"{SMALL}  endpoint:\n    allowedNamespaces: {{from: All, selector: {{}}}}\n",
        ("spec.endpoint.allowedNamespaces.selector", "{}", "when from is Selector", 9),
    ),
    "a requirement of one of no values": (
        f"{SMALL}  endpoint:\n    allowedNamespaces:\n      from: Selector\n      selector:\n"
        "        matchExpressions: [{key: team, operator: In, values: []}]\n",
        (
            "spec.endpoint.allowedNamespaces.selector.matchExpressions[0].values",
            "[]",
            "one or more with In and NotIn, none with Exists and DoesNotExist",
            12,
        ),
    ),
    "a class of which the memory is not said": (
        f"{CLASS}  vendor: nvidia\n{SHAPES}",
        ("spec", '"vendor"', "extends, or vendor with memory and nodeShapes", 5),
    ),
}

YAML_FAULTS = {
    "a key written twice": (
        f"{SMALL}  suspend: true\n  suspend: false\n",
        ("spec.suspend", "the key a second time", "each key once", 9),
    ),
    "not a number": (
        f"{SMALL}  engine:\n    args: {{gpu_memory_utilization: .nan}}\n",
        ("spec.engine.args.gpu_memory_utilization", "'.nan'", "a finite number", 9),
    ),
    "a number beyond every float": (
        f"{SMALL}  engine:\n    args: {{x: 1e999}}\n",
        ("spec.engine.args.x", "'1e999'", "a finite number", 9),
    ),
    "a number beyond 64 bits": (
        f"{SMALL}  replicas: 18446744073709551616\n",
        ("spec.replicas", "18446744073709551616", "at most 64 bits", 8),
    ),
    "a number too long to be read": (
        f"{SMALL}  replicas: {'9' * 5000}\n",
        ("spec.replicas", "999...", "a value that can be read", 8),
    ),
    "a long number in base 16": (
        f"{SMALL}  replicas: 0x{'f' * 5000}\n",
        ("spec.replicas", "fff...", "at most 64 bits", 8),
    ),
    "a key that is a number": (
        f"{SMALL}  engine:\n    args: {{1: a}}\n",
        ("spec.engine.args", "the key '1'", "keys that are strings", 9),
    ),
    "a key that is a truth value": (
        SMALL.replace("name: m", "name: m\n  labels: {on: a}"),
        ("metadata.labels", "the key 'on'", "keys that are strings", 5),
    ),
    "a key that is a list": (
        f"{SMALL}  engine:\n    args: {{? [a] : b}}\n",
        ("spec.engine.args", "the key a mapping or list", "keys that are strings", 9),
    ),
    "a tag on a value": (
        f"{SMALL}  replicas: !!python/object:os.system 1\n",
        ("spec.replicas", "the tag tag:yaml.org,2002:python", "without tags", 8),
    ),
    "a tag on a mapping": (
        f"{SMALL}  workload: !mine {{promptTokens: 1, outputTokens: 1}}\n",
        ("spec.workload", "the tag !mine", "without tags", 8),
    ),
    "a tag on a list": (
        f"{SMALL}  engine:\n    images: !!set []\n",
        ("spec.engine.images", "the tag tag:yaml.org,2002:set", "without tags", 9),
    ),
    "a tag that its value does not fit": (
        f"{SMALL}  suspend: !!bool perhaps\n",
        ("spec.suspend", "'perhaps' tagged as bool", "read as such", 8),
    ),
    "an empty whole number": (
        f'{SMALL}  replicas: !!int ""\n',
        ("spec.replicas", "'' tagged as int", "read as such", 8),
    ),
    "half of a UTF-16 pair": (
        f'{SMALL}  engine:\n    args: {{x: "\\ud800"}}\n',
        ("spec.engine.args.x", "'\\ud800'", "text that UTF-8 can carry", 9),
    ),
    "an alias to what is around it": (
        f"{SMALL}  engine:\n    args: &a {{x: *a}}\n",
        ("spec.engine.args.x", "an alias to something around it", "a tree", 9),
    ),
    "a merge of something that is no mapping": (
        f"{SMALL}  engine:\n    args: {{<<: 3}}\n",
        ("spec.engine.args", "<< with something else", "<< with a mapping", 9),
    ),
    "values nested too deep": (
        f"{SMALL}  engine:\n    args: {{x: {'[' * 80}{']' * 80}}}\n",
        ("spec.engine.args.x", "values nested more than 64 deep", "64", 9),
    ),
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(*case, id=sentence)
        for table in (FIELD_FAULTS, RULE_FAULTS, YAML_FAULTS)
        for sentence, case in table.items()
    ],
)
def test_one_thing_wrong_is_one_fault(text: str, wanted: tuple[str, str, str, int]) -> None:
    path, found, allowed, line = wanted
    fault = the_fault(text)
    assert fault.path == path
    assert found in fault.found
    assert allowed in fault.allowed
    assert fault.line == line
    assert not parse_manifest(text).models


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("a: [1, 2\nb: 3\n", 2, id="a bracket that stays open"),
        pytest.param("a:\n\tb: 1\n", 2, id="a tab as indentation"),
        pytest.param("a: 1\nb: \x00\x01\x02", 2, id="binary data"),
        pytest.param("a: *nowhere\n", 1, id="an alias to nothing"),
        pytest.param('a: 1\nb: "\\Uffffffff"\n', 2, id="a character beyond Unicode"),
        pytest.param("\n" + "[" * 2000, 2, id="two thousand open brackets"),
        pytest.param(f"{SMALL}  x: 'open\n", 9, id="a quote that stays open"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, line: int) -> None:
    fault = the_fault(text)
    assert fault.path == ""
    assert "text that is no YAML" in fault.found
    assert fault.line == line


@pytest.mark.parametrize("text", ["", "\n", "---\n---\n", "# a comment\n", "null\n"])
def test_an_empty_manifest_says_what_it_should_hold(text: str) -> None:
    assert the_fault(text).allowed == "at least one ModelDeployment or AcceleratorClass"


@pytest.mark.parametrize("text", ["- a\n", "hello\n", "3\n", "true\n"])
def test_a_document_that_is_no_mapping_is_refused(text: str) -> None:
    assert the_fault(text).allowed.startswith("a mapping with apiVersion")


def test_all_faults_of_a_file_are_told_at_once_in_the_order_of_the_file() -> None:
    text = f"""{SMALL.replace("hf://", "ftp://")}  suspend: false
  suspend: true
  hardware:
    candidates:
    - {{name: a, accelerator: x}}
    - {{name: a, accelerator: z, purchas: Spot}}
  replicas: 1
  autoscaling:
    minReplicas: 9
    maxReplicas: 1
---
{CLASS}  memory: 80
"""
    found = [(fault.path, fault.line) for fault in parse_manifest(text).faults]
    assert found == [
        ("spec.model.source", 7),
        ("spec.suspend", 9),
        ("spec.hardware.candidates", 11),
        ("spec.hardware.candidates[1].purchas", 13),
        ("spec.replicas", 14),
        ("spec.autoscaling.maxReplicas", 17),
        ("spec", 23),
        ("spec.memory", 24),
    ]


def test_a_rule_is_not_judged_by_a_field_that_is_wrong() -> None:
    text = autoscaling("minReplicas: 0", "maxReplicas: 1", "target: {timeToFirstToken: soon}")
    assert the_fault(text).path == "spec.autoscaling.target.timeToFirstToken"


def test_a_rule_is_not_judged_by_a_field_that_may_be_misspelt() -> None:
    text = autoscaling("minReplicas: 0", "maxReplicas: 1", "target: {timeToFirstTokens: 2s}")
    fault = the_fault(text)
    assert fault.path == "spec.autoscaling.target.timeToFirstTokens"
    assert fault.hint == "Did you mean timeToFirstToken?"


def test_every_document_is_read() -> None:
    manifest = parse_manifest(f"{SMALL}---\n{CLASS}  extends: a\n---\n{FULL}")
    assert [model.name for model in manifest.models] == ["m", "llama-3-1-405b"]
    assert [item.name for item in manifest.classes] == ["h100-80gb"]
    assert manifest.faults == ()


def test_one_name_twice_is_refused_at_its_second_place() -> None:
    fault = the_fault(f"{SMALL}---\n{SMALL}")
    assert (fault.path, fault.line) == ("metadata.name", 12)
    assert "'m' a second time" in fault.found


def test_one_name_in_two_namespaces_is_two_objects() -> None:
    other = SMALL.replace("name: m", "name: m\n  namespace: other")
    assert len(parse_manifest(f"{SMALL}---\n{other}").models) == 2
    assert parse_manifest(f"{SMALL}---\n{other}").faults == ()


@pytest.mark.parametrize("written", ["1e+06", "1E6", "1e6", "1.0e+06", "1_000_000", "1000000.0"])
def test_a_large_number_may_be_written_as_helm_writes_it(written: str) -> None:
    manifest = parse_manifest(f"{SMALL}    contextLength: {written}\n")
    assert manifest.faults == ()
    assert manifest.models[0].spec.model.context_length == 1_000_000


@pytest.mark.parametrize(
    ("written", "meant"),
    [("yes", True), ("no", False), ("on", True), ("False", False), ("y", True), ("N", False)],
)
def test_yes_and_no_are_truth_values_as_they_are_to_kubectl(written: str, meant: bool) -> None:
    assert parse_manifest(f"{SMALL}  suspend: {written}\n").models[0].spec.suspend is meant


@pytest.mark.parametrize("written", ["2026-07-20", "12:30:00", "=", "0.1.2", "1.2.3.4"])
def test_a_date_a_time_and_a_version_are_text(written: str) -> None:
    text = SMALL.replace("name: m", f"name: m\n  labels:\n    a: {written}")
    manifest = parse_manifest(text)
    assert manifest.faults == ()
    assert manifest.models[0].metadata.labels == {"a": written}


def test_a_field_that_is_null_is_absent_as_it_is_to_the_api_server() -> None:
    text = (
        f"{SMALL}  suspend: null\n  replicas: null\n  engine: {{name: ~, args: {{seed: null}}}}\n"
    )
    manifest = parse_manifest(text)
    assert manifest.faults == ()
    (model,) = manifest.models
    assert model.spec.suspend is False
    assert model.to_dict()["spec"].keys() == {"model", "engine"}
    assert model.spec.engine is not None
    assert model.spec.engine.args == {"seed": None}


def test_a_label_that_is_null_is_absent_and_one_that_is_a_number_is_not() -> None:
    metadata = "name: m\n  labels: {{a: {}, b: c}}\n  annotations: {{a: null}}"
    (model,) = parse_manifest(SMALL.replace("name: m", metadata.format("null"))).models
    assert (model.metadata.labels, model.metadata.annotations) == ({"b": "c"}, {})
    fault = the_fault(SMALL.replace("name: m", metadata.format("7")))
    assert (fault.path, fault.found) == ("metadata.labels.a", "7")


def test_a_field_that_must_be_there_may_not_be_null() -> None:
    fault = the_fault(SMALL.replace("hf://org/model", "null"))
    assert (fault.path, fault.found, fault.line) == ("spec.model.source", "nothing", 7)
    assert "required" in fault.allowed


def test_an_unknown_field_is_refused_even_when_it_is_null() -> None:
    assert the_fault(f"{SMALL}  replcas: null\n").path == "spec.replcas"


def test_what_is_written_wins_over_what_is_merged() -> None:
    text = f"{HEAD}spec:\n  model:\n    <<: [{{source: hf://a/b, revision: x}}, {{revision: y}}]\n"
    manifest = parse_manifest(f"{text}    source: hf://org/model\n")
    assert manifest.faults == ()
    assert manifest.models[0].spec.model.source == "hf://org/model"
    assert manifest.models[0].spec.model.revision == "x"


@pytest.mark.parametrize("item", ["[{}]", "{{<<: [{}]}}"], ids=["lists", "merges"])
def test_an_alias_bomb_is_refused_in_bounded_time(item: str) -> None:
    lines = ["a: &a {x: 1}"]
    for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True):
        lines.append(f"{name}: &{name} " + item.format(", ".join([f"*{before}"] * 10)))
    started = time.monotonic()
    fault = the_fault("\n".join(lines))
    assert time.monotonic() - started < 20
    assert "more than 100000 values" in fault.found


def test_one_bomb_ends_the_reading_of_a_manifest() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdef", "bcdefg", strict=True)
    )
    assert len(parse_manifest("---\n".join([bomb] * 50)).faults) == 1


def test_an_object_of_the_api_server_is_read_with_what_the_server_added() -> None:
    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "m", "uid": "1", "generation": 3, "managedFields": [{"a": {}}]},
        "spec": {"model": {"source": "hf://org/model"}, "managedBy": "someone/else"},
    }
    item, faults = parse_object(data)
    assert faults == ()
    assert item is not None
    assert item.to_dict() == data


def test_a_status_is_the_operator_s_and_nobody_s_fault() -> None:
    """As the API server has it; a newer operator may have written what this one does not know."""
    status = "status: {unknown: 1, replicas: -1}\n"
    (model,) = parse_manifest(SMALL + status).models
    assert model == parse_manifest(SMALL).models[0]
    assert the_fault(f"{CLASS}  extends: cpu\n{status}").path == "status"


@pytest.mark.parametrize("data", [None, [], "x", {}, {"kind": []}])
def test_an_object_that_is_none_of_the_kinds_is_refused(data: object) -> None:
    item, faults = parse_object(data)
    assert item is None
    assert faults
