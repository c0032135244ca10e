"""Manifests that ``freehold validate`` refuses, each for one thing, by what is wrong with them.

One half is made from the kinds' schemas: every field of a manifest that has them all, wrong in
every way that its schema tells. The other half is written down: what lies between fields, what only
the catalogue or the engine's list of arguments knows, and texts that two readers might read apart.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.unit.api.test_malformed_manifests import Place, places

from freehold.api.crd import custom_resource_definitions
from freehold.api.yaml_text import dotted

DATA = Path(__file__).parents[1] / "data" / "manifests"
Path_ = tuple[str | int, ...]
Object = dict[str, Any]
MODEL: Object = yaml.safe_load((DATA / "full.yaml").read_text())
del MODEL["metadata"]["namespace"]
# by default the object's name, which tells one case from the other
del MODEL["spec"]["model"]["servedName"]
CLASS: Object = yaml.safe_load((DATA / "full-class.yaml").read_text())
ABSENT = object()
# Texts of which at least one does not fit whatever pattern a field has.
_UNFIT = ("", "A b", "é", "-", "x:", "0.0")


def changed(data: Object, path: Path_, value: Any) -> Object:
    """Return an object with another value at a path, or with none."""
    result = copy.deepcopy(data)
    parent: Any = result
    for part in path[:-1]:
        parent = parent.setdefault(part, {}) if isinstance(parent, dict) else parent[part]
    if value is ABSENT:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return result


def at(path: str) -> Path_:
    """Return the path that is written ``a.b[0].c``."""
    found = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return tuple(int(number) if number else word for number, word in found)


def by_schema(data: Object, crd: Object) -> Iterator[tuple[str, Object]]:
    """Yield each way in which a field of an object can be wrong by its schema, with a name."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    root = Place(("spec",), schema, required=True)
    for place in (root, *places(data["spec"], schema, ("spec",))):
        value: Any = data
        for part in place.path:
            value = value[part]
        for what, wrong in _wrongs(place, value):
            yield f"{dotted(place.path)} {what}", changed(data, place.path, wrong)


def _wrongs(place: Place, value: Any) -> Iterator[tuple[str, Any]]:
    schema = place.schema
    if place.required:
        yield "is missing", ABSENT
    match schema["type"]:
        case "integer":
            yield "is a text", "many"
            yield "is a fraction", 0.5
            yield "is too small", schema["minimum"] - 1
            yield "is too large", schema["maximum"] + 1
        case "boolean":
            yield "is a text", "yes"
        case "array":
            yield "is a mapping", {}
            yield "is too long", value * schema["maxItems"] + value
            if schema.get("minItems"):
                yield "is empty", []
        case "object":
            yield "is a list", []
            if "properties" in schema:
                yield "has an unknown field", {**value, "unknown": 1}
        case "string":
            yield from _wrong_texts(schema, value)


def _wrong_texts(schema: Object, value: str) -> Iterator[tuple[str, Any]]:
    yield "is a number", 7
    if "enum" in schema:
        yield "is no choice", f"{value}s"
    if "pattern" in schema:
        unfit = [it for it in _UNFIT if not re.fullmatch(schema["pattern"], it)]
        yield "does not fit", unfit[0]
        yield "ends with a line break", f"{value}\n"
    if schema.get("minLength"):
        yield "is empty", ""
    if "maxLength" in schema:
        yield "is too long", value.ljust(schema["maxLength"] + 1, "a")


def _args(**arguments: Any) -> Mapping[str, Any]:
    return {"spec.engine.args": arguments}


def _source(text: str) -> Mapping[str, Any]:
    return {"spec.model.source": text}


_SELECTOR = "spec.endpoint.allowedNamespaces.selector"
_ARCHITECTURE = "spec.model.architecture"
_EXPERTS = {"count": 8, "perToken": 2, "intermediateSize": 64, "layers": 2}
_LATENT = {"kvLoraRank": 512, "ropeHeadDim": 64}
_CORES = {"spec.hardware.candidates": [{"name": "cores", "accelerator": "cpu"}]}

# What is changed in the full model, by field; ABSENT takes a field away.
EDITS: dict[str, Mapping[str, Any]] = {
    # --- rules between fields
    "replicas and autoscaling": {"spec.replicas": 2},
    "two candidates of one name": {
        "spec.hardware.candidates": [{"name": "a", "accelerator": "h100-80gb"}] * 2
    },
    "two images for one class": {
        "spec.engine.images": [{"accelerator": "h100-80gb", "image": "x"}] * 2
    },
    "no time at all": {"spec.autoscaling.target": {"timeToFirstToken": "0s"}},
    "a target of another kind": {"spec.autoscaling.target": {"queueDepth": 1}},
    "more replicas at least than at most": {
        "spec.autoscaling": {"minReplicas": 3, "maxReplicas": 2}
    },
    "idle time without zero": {"spec.autoscaling.minReplicas": 1},
    "keys for nobody": {"spec.endpoint.authentication.type": "None"},
    "keys in the Secret that is made": {
        "metadata.name": "chat",
        "spec.endpoint.authentication": {
            "type": "APIKey",
            "secretRef": {"name": "chat-api-key"},
        },
    },
    "a selector for all": {"spec.endpoint.allowedNamespaces.from": "All"},
    "a requirement of one of no values": {
        f"{_SELECTOR}.matchExpressions": [{"key": "team", "operator": "In"}]
    },
    "a requirement of values that are not asked for": {
        f"{_SELECTOR}.matchExpressions": [{"key": "team", "operator": "Exists", "values": ["a"]}]
    },
    "a label's value that is none": {f"{_SELECTOR}.matchLabels": {"team": "a b"}},
    "no selector": {"spec.endpoint.allowedNamespaces.selector": ABSENT},
    "more key heads than heads": {f"{_ARCHITECTURE}.keyValueHeads": 256},
    "more local layers than layers": {
        f"{_ARCHITECTURE}.localAttention": {"window": 1, "layers": 127}
    },
    "more layers of experts than layers": {f"{_ARCHITECTURE}.experts": {**_EXPERTS, "layers": 127}},
    "a hidden size beyond all": {f"{_ARCHITECTURE}.hiddenSize": 2**21},
    "heads beyond all": {f"{_ARCHITECTURE}.attentionHeads": 4097},
    "a head beyond all": {f"{_ARCHITECTURE}.headDim": 4097},
    "an intermediate size beyond all": {f"{_ARCHITECTURE}.intermediateSize": 2**23},
    "a vocabulary beyond all": {f"{_ARCHITECTURE}.vocabularySize": 2**25},
    "a latent rank beyond all": {
        f"{_ARCHITECTURE}.latentAttention": {**_LATENT, "kvLoraRank": 2**17}
    },
    "a rotary part beyond all": {
        f"{_ARCHITECTURE}.latentAttention": {**_LATENT, "ropeHeadDim": 4097}
    },
    "experts beyond all": {f"{_ARCHITECTURE}.experts": {**_EXPERTS, "count": 2**15}},
    "experts of a token beyond all": {f"{_ARCHITECTURE}.experts": {**_EXPERTS, "perToken": 2**15}},
    "shared experts beyond all": {f"{_ARCHITECTURE}.experts": {**_EXPERTS, "shared": 2**15}},
    "an expert beyond all": {f"{_ARCHITECTURE}.experts": {**_EXPERTS, "intermediateSize": 2**23}},
    "a checkpoint of nothing": {f"{_ARCHITECTURE}.checkpoint.size": "0.0Gi"},
    # --- the object's metadata
    "a name like a Service of KubeRay": {"metadata.name": "chat-serve-svc"},
    "a name like a head's Service": {"metadata.name": "chat-head-svc"},
    "a name with a point": {"metadata.name": "llama-3.1"},
    "a name that begins with a digit": {"metadata.name": "3-llama"},
    "a name too long": {"metadata.name": "a" * 41},
    "labels that are numbers": {"metadata.labels": {"a": 1}},
    "annotations that are lists": {"metadata.annotations": {"a": []}},
    # --- the source
    "no scheme": _source("meta-llama/Llama-3.1-8B"),
    "a scheme that nobody knows": _source("https://example.com/model"),
    "a relative path": _source("file://models/llama"),
    "a space": _source("hf://a/b c"),
    "a vertical tab": _source("hf://a/b\u000bc"),
    "a control character": _source("hf://a/b\u0001"),
    "a null": _source("file:///srv/\u0000"),
    "a bracket for a host": _source("s3://[bucket/path"),
    "a host that is no host": _source("oci://a]b/c"),
    "a served name with a colon": {"spec.model.servedName": "llama:3"},
    "a served name too long": {"spec.model.servedName": "a" * 129},
    "a file of the node": _source("file:///etc/%2e%2e/passwd\u0020"),
    # --- engine arguments
    "parallelism as an argument": _args(tensor_parallel_size=2),
    "an argument as on the command line": _args(**{"--pipeline-parallel-size": 2}),
    "the context as an argument": _args(max_model_len=1024),
    "a null that the plan owns": _args(kv_cache_memory_bytes=None),
    "the model's name as an argument": _args(served_model_name="x"),
    "a draft model": _args(speculative_config={"method": "eagle", "model": "x"}),
    "experts kept twice": _args(eplb_config={"num_redundant_experts": 2}),
}
# The same, where only the engine's list of arguments, the planner or the catalogue knows.
LEFT_TO_THE_OPERATOR: dict[str, Mapping[str, Any]] = {
    "an argument that nobody knows": _args(max_num_seq=2),
    "an argument with dashes": _args(**{"max-num-seqs": 2}),
    "an argument denied": _args(no_enable_prefix_caching=True),
    "an argument without a name": _args(**{"": 1}),
    "an argument with a point": _args(**{"a.b": 1}),
    "a text for a number": _args(max_num_seqs="many"),
    "a fraction for a number": _args(max_num_seqs=2.5),
    "a number for a flag": _args(enforce_eager=1),
    "a text for a flag": _args(enable_prefix_caching="yes"),
    "a list for a mapping": _args(speculative_config=[]),
    "nothing for a flag": _args(enforce_eager=None),
    "no sequences": _args(max_num_seqs=0),
    "a share above one": _args(gpu_memory_utilization=1.5),
    "a share that is a text": _args(gpu_memory_utilization="0.9"),
    "a number format that nobody knows": _args(dtype="float8"),
    "an empty number format": _args(kv_cache_dtype=""),
    "a number format that the plan cannot count": _args(dtype="float32"),
    "a choice that nobody knows": _args(attention_backend="FASTEST"),
    "layers that are no texts": _args(kv_cache_dtype_skip_layers=[1]),
    "a number beyond 64 bits": _args(seed=10**30),
    "a number beyond 64 bits in a mapping": _args(additional_config={"a": 10**30}),
    "a step smaller than its sequences": _args(max_num_seqs=4096, max_num_batched_tokens=64),
    "a step smaller than the workload": {
        "spec.workload.concurrentRequests": 4096,
        "spec.engine.args": {"max_num_batched_tokens": 64},
    },
    "a workload larger than a step": {
        "spec.workload.concurrentRequests": 100_000,
        "spec.engine.args": {},
    },
    "a number format that cores have not": {**_CORES, **_args(dtype="float16")},
    "graphs on cores": {**_CORES, **_args(enforce_eager=False)},
    # --- what the catalogue knows
    "an accelerator that nobody knows": {"spec.hardware.candidates[0].accelerator": "h100"},
    "an image for a class that nobody knows": {"spec.engine.images[0].accelerator": "h100"},
    "more stages than nodes can be joined": {
        "spec.hardware.candidates[1].parallelism.pipeline": 256
    },
    "a split that is no multiple of a node": {"spec.hardware.candidates[1].parallelism.tensor": 12},
    "a split over nodes that no fast network joins": {
        "spec.hardware.candidates[1]": {
            "name": "l4",
            "accelerator": "l4-24gb",
            "parallelism": {"tensor": 16},
        }
    },
}
# What is changed in the full model so that only a plan finds it, with what it must tell.
PLANNED: dict[str, tuple[Mapping[str, Any], str]] = {
    "a model that nobody knows": (
        {**_source("hf://nobody/nothing"), _ARCHITECTURE: ABSENT},
        "spec.model.source: found",
    ),
    "a bucket that planning cannot read": (
        {**_source("s3://bucket/llama"), _ARCHITECTURE: ABSENT},
        "spec.model.source: found a s3:// source",
    ),
    "a split that does not divide the heads": (
        {
            "spec.hardware.candidates": [
                {"name": "a", "accelerator": "h100-80gb", "parallelism": {"tensor": 3}}
            ]
        },
        "tensor parallel 3 does not divide",
    ),
    "a model that no device of the kind holds": (
        {"spec.hardware.candidates": [{"name": "a", "accelerator": "l4-24gb"}]},
        "l4-24gb",
    ),
}
# What is changed in the full class.
CLASS_EDITS: dict[str, Mapping[str, Any]] = {
    "neither a parent nor a memory": {"spec": {"vendor": "nvidia"}},
    "two shapes of one name": {
        "spec.nodeShapes": [{"name": "a", "provider": "onprem", "devices": 8}] * 2
    },
    "a feature twice": {"spec.features": ["bf16", "bf16"]},
    "a name with a capital": {"metadata.name": "H100"},
    "an amount that is a number": {"spec.nodeShapes[0].prices[0].amount": 6.88},
}


def _class(name: str, **spec: Any) -> Object:
    return {**CLASS, "metadata": {"name": name}, "spec": spec}


def bad_models() -> dict[str, Object]:
    """Return every bad ModelDeployment by what is wrong with it."""
    model_crd, _ = custom_resource_definitions()
    return dict(by_schema(MODEL, model_crd)) | _edited(MODEL, EDITS | LEFT_TO_THE_OPERATOR)


def unplannable_models() -> dict[str, Object]:
    """Return models that are right in every field, and that no plan carries all the same."""
    return _edited(MODEL, {what: edits for what, (edits, _) in PLANNED.items()})


def bad_classes() -> dict[str, Object]:
    """Return every bad AcceleratorClass by what is wrong with it."""
    _, class_crd = custom_resource_definitions()
    return dict(by_schema(CLASS, class_crd)) | _edited(CLASS, CLASS_EDITS)


def _edited(data: Object, edits: Mapping[str, Mapping[str, Any]]) -> dict[str, Object]:
    found = {}
    for what, changes in edits.items():
        result = data
        for path, value in changes.items():
            result = changed(result, at(path), value)
        found[what] = result
    return found


# Classes of which none is at fault by itself, and one that a model names lacks a whole parent.
UNWHOLE_CLASSES: dict[str, list[Object]] = {
    "a parent that nobody knows": [_class("mine", extends="h100")],
    "a circle of parents": [_class("mine", extends="other"), _class("other", extends="mine")],
    "a parent whose parent nobody knows": [
        _class("mine", extends="other"),
        _class("other", extends="h100"),
    ],
}
_LINES = yaml.safe_dump(MODEL, sort_keys=False)
# What is no manifest, as a text. What kubectl settles before it asks the API server, such as which
# of two equal keys counts, the command alone can tell.
TEXTS: dict[str, str] = {
    "nothing": "",
    "no mapping": "- a\n- b\n",
    "a word": "model\n",
    "an open list": f"{_LINES}x: [a\n",
    "a tab": f"{_LINES}\tx: 1\n",
    "a control character": f"{_LINES}  x: '\x01'\n",
    "a key that is a number": f"{_LINES}  7: x\n",
    "no kind": _LINES.replace("kind: ModelDeployment\n", ""),
    "another kind": _LINES.replace("kind: ModelDeployment", "kind: ModelDeploymnt"),
    "no version": _LINES.replace("apiVersion: freehold.dev/v1alpha1\n", ""),
    "another version": _LINES.replace("v1alpha1", "v2"),
    "a kind that is a list": _LINES.replace("kind: ModelDeployment", "kind: []"),
    "no metadata": json.dumps({**MODEL, "metadata": None}),
    "no name": json.dumps({**MODEL, "metadata": {}}),
    "a name that is a number": json.dumps({**MODEL, "metadata": {"name": 7}}),
    "no spec": json.dumps({**MODEL, "spec": None}),
    "a spec that is a list": json.dumps({**MODEL, "spec": []}),
    "one name twice": f"{_LINES}---\n{_LINES}",
    "a field beside spec": f"{_LINES}unknown: 1\n",
}
