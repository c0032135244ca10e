"""Check a Serve config and engine arguments against what the pinned Ray and vLLM accept.

Ray Serve drops keys it does not know and vLLM is asked only once a replica starts, so a typing
error would cost a rollout. The schemas in ``data/`` are made from the sources of both
(``hack/generate_engine_schema.py``); neither has to be installed here.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from freehold.api.faults import Fault, nearest
from freehold.api.scalars import whole_number
from freehold.plan.engine_settings import argument_name

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]

_FINITE: Final = "a finite number"
_SHOWN: Final = 60  # characters of a value in a fault
_LISTED: Final = 12  # names that are listed whole; of more, the nearest are
_ALIKE: Final = 0.7  # of 1, the likeness from which a name is suggested
_NOUNS: Final = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "a string",
}
_LIMITS: Final = {
    "minimum": "at least",
    "exclusiveMinimum": "greater than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}
# YAML and the Kubernetes API tell 8 from 8.0, and Ray counts with these in range(): an integer
# is an int and nothing else. Frozen mappings and tuples are as good as dicts and lists.
_TYPES: Final = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "object": lambda _, value: isinstance(value, Mapping),
        "array": lambda _, value: isinstance(value, list | tuple),
    }
)
_EXTEND: Final[Any] = extend  # untyped in its stubs
_Validator: Final = _EXTEND(Draft202012Validator, type_checker=_TYPES)


def check_serve_config(config: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Return every fault of a ``serveConfigV2`` document, in the order of its paths.

    Args:
        config: The parsed document: an application of ``ray.serve.llm:build_openai_app`` with
            ``args`` and ``deployments``. ``engine_kwargs`` are checked as well.

    Returns:
        Unknown keys, wrong types, choices and ranges, numbers that are not finite, and the
        contradictions that Ray finds only after it has accepted the document.
    """
    schema = _schema("serve_config.schema.json")
    found = [*_not_plain(config, ()), *_against(schema, config, ())]
    for path, llm in _llm_configs(config):
        found += _engine_faults(llm.get("engine_kwargs"), (*path, "engine_kwargs"))
    return _in_order([*found, *_contradictions(config)])


def check_engine_args(args: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Return every fault of arguments for vLLM, as Ray takes them in ``engine_kwargs``.

    Args:
        args: Argument names in snake_case, with their values; whole numbers may be floats.
    """
    return _in_order([*_not_plain(args, ()), *_engine_faults(with_whole_numbers(args), ())])


def with_whole_numbers(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments for vLLM with 1e+06 as 1000000 wherever only an integer is taken.

    Helm writes large integers as floats, and its user has no say in it.
    """
    known = _schema("vllm_engine_args.json")["properties"]
    return {name: _whole(value, known.get(name, {})) for name, value in args.items()}


def _whole(value: Any, schema: Schema) -> Any:
    kinds = schema.get("type", ())
    if isinstance(value, list | tuple) and "items" in schema:
        return [_whole(item, schema["items"]) for item in value]
    return whole_number(value) if "integer" in kinds and "number" not in kinds else value


@functools.cache
def _schema(name: str) -> dict[str, Any]:
    file = importlib.resources.files("freehold.render") / "data" / name
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return schema


Found = tuple[Path, Fault]


def _in_order(found: Iterable[Found]) -> tuple[Fault, ...]:
    """Return the first fault of each path, sorted by path; list items by their number."""
    first: dict[Path, Fault] = {}
    for path, fault in found:
        first.setdefault(path, fault)
    return tuple(first[path] for path in sorted(first, key=_rank))


def _rank(path: Path) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in path]


def _fault(path: Path, found: str, allowed: str, hint: str = "") -> Found:
    return path, Fault(path=_text(path), found=found, allowed=allowed, hint=hint)


def _text(path: Path) -> str:
    """Return a path as ``applications[0].args``; keys that are no identifier are quoted."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        elif part.replace("-", "_").lstrip("_").isidentifier():
            out += f".{part}" if out else part
        else:
            out += f"[{json.dumps(part)}]"
    return out


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool | int | float | str):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
    return f"a {type(value).__name__}"


# --- Values that no schema keyword sees ------------------------------------------------------


def _not_plain(value: Any, path: Path) -> Iterator[Found]:
    """Yield the values that JSON does not carry as they are: NaN, keys like ``true``, huge ones."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _not_plain(item, (*path, key))
            else:
                hint = "Quote the key."
                yield _fault((*path, str(key)), f"the key {_show(key)}", "a string", hint)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_plain(item, (*path, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield _fault(path, str(value), _FINITE)
    elif isinstance(value, int | float) and abs(value) >= 1 << 63:
        # the API server makes another number of it, which is no longer what was written
        yield _fault(path, str(value), "a number of at most 64 bits")
    elif not (value is None or isinstance(value, bool | int | float | str)):
        yield _fault(path, _show(value), "a string, a number, true, false, null, a list, a mapping")


# --- The schema's own findings ---------------------------------------------------------------


def _against(schema: Schema, value: Any, path: Path) -> Iterator[Found]:
    for error in _Validator(schema).iter_errors(value):
        for leaf in _leaves(error):
            yield from _translate(leaf, schema, path)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """Yield the errors to tell: of a union only those of the branch that was meant."""
    if error.validator != "anyOf" or not isinstance(error.instance, Mapping | list | tuple):
        yield error
        return
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    meant = [branch for branch in branches.values() if not any(_other_type(e) for e in branch)]
    if len(meant) != 1:
        yield error
        return
    for inner in meant[0]:
        yield from _leaves(inner)


def _other_type(error: ValidationError) -> bool:
    return not error.path and error.validator in {"type", "enum", "const"}


def _translate(error: ValidationError, root: Schema, prefix: Path) -> Iterator[Found]:
    path: Path = (*prefix, *error.absolute_path)
    value: Any = error.instance
    rule: Any = error.validator_value
    schema: Schema = error.schema if isinstance(error.schema, Mapping) else {}
    match error.validator:
        case "additionalProperties":
            for key in [k for k in value if k not in schema["properties"]]:
                yield _unknown((*path, str(key)), str(key), schema["properties"])
        case "required":
            for key in [k for k in rule if k not in value]:
                wanted = schema.get("properties", {}).get(key, {})
                yield _fault((*path, key), "nothing", _allowed(wanted, root))
        case "dependentRequired":
            for key in [k for name in rule if name in value for k in rule[name] if k not in value]:
                yield _fault((*path, key), "nothing", "a value, since its counterpart is set")
        case "oneOf":
            names = ", ".join(name for branch in rule for name in branch["required"])
            both = [name for name in value if name in names]
            yield _fault(path, " and ".join(both) or "neither", f"exactly one of {names}")
        case _:
            yield _fault(path, _show(value), _allowed(schema, root), _type_hint(value, schema))


def _unknown(path: Path, key: str, names: Iterable[str]) -> Found:
    known = sorted(name for name in names if not name.startswith("_"))
    close = nearest(key, known, cutoff=_ALIKE)
    if len(known) <= _LISTED:
        allowed = ", ".join(known)
    elif not close:
        allowed = f"one of {len(known)} known names, none of which is near"
    else:
        allowed = f"{', '.join(close)} (the nearest of {len(known)} names)"
    hint = f"Did you mean {close[0]}?" if close else ""
    return _fault(path, f"unknown field {key!r}", allowed, hint)


def _type_hint(value: Any, schema: Schema) -> str:
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if "integer" in kinds and isinstance(value, float) and value.is_integer():
        return f"Write {int(value)}, without a decimal point."
    if isinstance(value, str) and "string" not in kinds:
        if {"integer", "number"} & {*kinds} and value.strip().lstrip("-").isdecimal():
            return f"Write {value.strip()}, without quotes."
        if "boolean" in kinds and value.lower() in {"true", "false"}:
            return f"Write {value.lower()}, without quotes."
    return ""


def _allowed(schema: Schema, root: Schema) -> str:
    """Return in words what a schema takes."""
    if "$ref" in schema:
        return _allowed(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return " or ".join(_allowed(branch, root) for branch in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(_show(choice) for choice in schema["enum"])
    kinds = schema.get("type", ["string"])
    nouns = " or ".join(_NOUNS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    limits = [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema]
    if "pattern" in schema:
        limits.append(f"like {schema['pattern']}")
    if schema.get("minItems", schema.get("minLength")):
        limits.append("not empty")
    return f"{nouns}, {' and '.join(limits)}" if limits else nouns


# --- Engine arguments ------------------------------------------------------------------------


def _engine_faults(args: Any, path: Path) -> Iterator[Found]:
    if not isinstance(args, Mapping):
        return
    schema = _schema("vllm_engine_args.json")
    known = schema["properties"]
    for key in args:
        name = argument_name(str(key))
        if name in schema["forbidden"]:
            reason = schema["forbidden"][name]
            yield _fault((*path, str(key)), _show(args[key]), "no value here", f"{reason}.")
        elif name != key and name in known:
            hint = f"Write {name}."
            yield _fault((*path, str(key)), f"unknown field {key!r}", name, hint)
        elif name.startswith("no_") and name[3:] in known:
            hint = f"Write {name[3:]}: false."
            yield _fault((*path, str(key)), f"unknown field {key!r}", name[3:], hint)
    yield from _against(schema, args, path)


# --- Contradictions between fields -----------------------------------------------------------


def _children(value: Any, path: Path, name: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    items = value.get(name) if isinstance(value, Mapping) else None
    for index, item in enumerate(items if isinstance(items, list | tuple) else ()):
        if isinstance(item, Mapping):
            yield (*path, name, index), item


def _llm_configs(config: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for path, app in _children(config, (), "applications"):
        yield from _children(app.get("args"), (*path, "args"), "llm_configs")


def _contradictions(config: Mapping[str, Any]) -> Iterator[Found]:
    """Yield what Ray's validators refuse across fields, some only after the request succeeded."""
    apps = list(_children(config, (), "applications"))
    yield from _twice([((*p, "name"), app.get("name", "default")) for p, app in apps])
    yield from _twice([((*p, "route_prefix"), app.get("route_prefix", "/")) for p, app in apps])
    for path, app in apps:
        models = list(_children(app.get("args"), (*path, "args"), "llm_configs"))
        yield from _twice([((*p, "model_loading_config", "model_id"), _id(m)) for p, m in models])
        for deployment_path, deployment in _children(app, path, "deployments"):
            yield from _replica_faults(deployment, deployment_path)
    for path, llm in _llm_configs(config):
        options = llm.get("deployment_config")
        if isinstance(options, Mapping):
            yield from _replica_faults(options, (*path, "deployment_config"))


def _id(llm: Mapping[str, Any]) -> Any:
    loading = llm.get("model_loading_config")
    return loading.get("model_id") if isinstance(loading, Mapping) else None


def _twice(values: list[tuple[Path, Any]]) -> Iterator[Found]:
    count = Counter(value for _, value in values if isinstance(value, str))
    seen: set[str] = set()
    for path, value in values:
        if isinstance(value, str) and count[value] > 1 and value in seen:
            yield _fault(path, _show(value), "a value that is not used above")
        seen.add(str(value))


def _replica_faults(options: Mapping[str, Any], path: Path) -> Iterator[Found]:
    """Yield contradictions of a deployment's replica counts (AutoscalingConfig, by default 1)."""
    scaling, fixed = options.get("autoscaling_config"), options.get("num_replicas")
    if not isinstance(scaling, Mapping):
        return
    if isinstance(fixed, int):
        allowed = "nothing or auto, since autoscaling_config is set"
        yield _fault((*path, "num_replicas"), _show(fixed), allowed)
    low = scaling.get("min_replicas", 1)
    high = scaling.get("max_replicas", 100 if fixed == "auto" else 1)
    start = scaling.get("initial_replicas")
    if not (isinstance(low, int) and isinstance(high, int)):
        return
    at = (*path, "autoscaling_config")
    if high < low:
        yield _fault((*at, "max_replicas"), str(high), f"at least min_replicas, which is {low}")
    elif isinstance(start, int) and not low <= start <= high:
        yield _fault((*at, "initial_replicas"), str(start), f"an integer from {low} to {high}")
