"""Write the reference in docs/reference/: fields of each kind from its types, and the conditions.

The pages of the kinds begin with text written by hand; what is generated stands between two marks.
With --check write nothing and say whether what is there is up to date.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "operator"))

from freehold.api.acceleratorclass import AcceleratorClass  # noqa: E402
from freehold.api.base import ApiModel  # noqa: E402
from freehold.api.conditions import CONDITIONS, REASONS, ConditionType, Reason  # noqa: E402
from freehold.api.crd import custom_resource_definitions  # noqa: E402
from freehold.api.modeldeployment import ModelDeployment  # noqa: E402
from freehold.api.scalars import Text  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
BEGIN, END = "<!-- written by hack/generate_reference.py -->", "<!-- end of what is written -->"
_NO_BOUND = 2**31 - 1
# By whether a rollout that can go back does so instead.
_STALLED_AT_ONCE = {
    False: "Stalled at once",
    True: "Stalled at once; a rollout that can go back does so instead, by its deadline",
}
_NAMES = {str: "string", int: "integer", bool: "boolean", Any: "anything"}


@dataclass(slots=True)
class Shape:
    """What a field takes.

    Attributes:
        name: Its type in words; an object's is "object".
        allowed: What is allowed of it, a phrase each.
        model: The object's type, or that of a list's items; None for what has no fields.
        many: Whether it is a list of them.
    """

    name: str
    allowed: list[str] = field(default_factory=list)
    model: type[ApiModel] | None = None
    many: bool = False


def shape_of(annotation: Any, metadata: Sequence[Any] = ()) -> Shape:
    """Return what an annotation of the API types takes.

    Raises:
        TypeError: The API types never had such an annotation so far.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape_of(arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, UnionType):
        (only,) = [it for it in arguments if it is not NoneType]
        return shape_of(only, metadata)
    if origin is Literal:
        return Shape("string", [_one_of(arguments)])
    if origin is tuple:
        inner = shape_of(arguments[0])
        allowed = [*inner.allowed, *_bounds(metadata, " items")]
        return Shape(f"list of {_plural(inner.name)}", allowed, inner.model, many=True)
    if origin is dict:
        return Shape(f"map of {_plural(shape_of(arguments[1]).name)}")
    if annotation in _NAMES:
        return Shape(_NAMES[annotation], [*_bounds(metadata, _unit(annotation))])
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return Shape("object", model=annotation)
    raise TypeError(f"no words for {annotation!r}")


def _one_of(values: Sequence[Any]) -> str:
    return (
        " or ".join(f"`{value}`" for value in values)
        if len(values) < 3
        else ", ".join(f"`{value}`" for value in values)
    )


def _plural(name: str) -> str:
    return name if name == "anything" else f"{name}s"


def _unit(annotation: Any) -> str:
    return " characters" if annotation is str else ""


def _bounds(metadata: Sequence[Any], unit: str) -> Iterator[str]:
    """Yield the bounds in words; one that only keeps arithmetic sane is none."""
    flat = [it for item in metadata for it in (item.metadata if _is_field(item) else [item])]
    for item in flat:
        match item:
            case Text():
                yield item.allowed
            case MinLen(1):
                yield "not empty"
            case Ge(least) | MinLen(least):
                yield f"at least {least}{unit}"
            case Le(most) | MaxLen(most) if most != _NO_BOUND:
                yield f"at most {most}{unit}"


def _is_field(item: Any) -> bool:
    return isinstance(item, FieldInfo)


def sections(model: type[ApiModel], path: str, told: dict[type, str]) -> Iterator[str]:
    """Yield the section of an object and those of the objects in it, each type once.

    Args:
        model: The object's type.
        path: Its path, such as ``spec.hardware``.
        told: Where each type has been told; is added to.
    """
    told[model] = path
    rows, inner = [], []
    for info in model.model_fields.values():
        shape = shape_of(info.annotation, info.metadata)
        name = str(info.alias)
        below = f"{path}.{name}" + ("[]" if shape.many else "")
        if shape.model is not None and shape.model not in told:
            told[shape.model] = below
            inner.append((shape.model, below))
        rows.append(_row(name, info, shape, told))
    table = "\n".join(
        ["| field | type | default | allowed | meaning |", "|---|---|---|---|---|", *rows]
    )
    text = [f"### `{path}`", (model.__doc__ or "").strip().partition("\n")[0], table]
    yield "\n\n".join([*text, *_rules(model)])
    for item, below in inner:
        yield from sections(item, below, told)


def _rules(model: type[ApiModel]) -> Iterator[str]:
    rules = [
        f"- {f'`{rule.field}`: ' if rule.field else ''}{rule.message}." for rule in model.rules
    ]
    if rules:
        yield "Rules:\n\n" + "\n".join(rules)


def _row(name: str, info: FieldInfo, shape: Shape, told: Mapping[type, str]) -> str:
    kind = shape.name
    if shape.model is not None:
        kind = f"[{kind}](#{anchor(f'`{told[shape.model]}`')})"
    allowed = [*shape.allowed]
    extra = info.json_schema_extra
    if isinstance(extra, dict) and "x-kubernetes-validations" in extra:
        validations: Any = extra["x-kubernetes-validations"]
        allowed += [item["message"] for item in validations]
    keys: Any = extra.get("x-kubernetes-list-map-keys") if isinstance(extra, dict) else None
    if keys:
        allowed.append(f"merged by `{keys[0]}`")
    cells = (f"`{name}`", kind, _default(info), "; ".join(allowed), info.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    if info.default in (None, ""):
        return ""
    return f"`{str(info.default).lower() if isinstance(info.default, bool) else info.default}`"


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    kept = (it for it in heading.strip().lower() if it.isalnum() or it in " -_")
    return "".join(kept).replace(" ", "-")


def kind_reference(model: type[ApiModel], crd: Mapping[str, Any]) -> str:
    """Return the generated part of a kind's page."""
    spec = crd["spec"]
    names = spec["names"]
    top = (
        f"| group and version | kind | short name | scope |\n|---|---|---|---|\n"
        f"| `{spec['group']}/{spec['versions'][0]['name']}` | `{names['kind']}` | "
        f"`{names['shortNames'][0]}` | {spec['scope']} |"
    )
    meta = shape_of(model.model_fields["metadata"].annotation).model
    assert meta is not None, "every kind has metadata"
    name = shape_of(meta.model_fields["name"].annotation, meta.model_fields["name"].metadata)
    parts = [top, f"`metadata.name`: {'; '.join(name.allowed)}.", *_rules(model)]
    told: dict[type, str] = {}
    for part in ("spec", "status"):
        if part in model.model_fields:
            inner = shape_of(model.model_fields[part].annotation).model
            assert inner is not None, "spec and status are objects"
            parts += [f"## {part.capitalize()}", *sections(inner, part, told)]
    return "\n\n".join(parts)


def conditions_reference() -> str:
    """Return the generated part of the page about conditions."""
    parts = ["## Conditions\n\n" + _condition_table()]
    left = list(REASONS.values())
    for kind in ConditionType:
        mine = [it for it in left if kind in it.conditions and it.conditions[0] is kind]
        if mine:
            parts += [f"## Reasons of {kind}", *(_reason(it) for it in mine)]
    events = [it for it in left if not it.conditions]
    parts += ["## Reasons of Events alone", *(_reason(it) for it in events)]
    return "\n\n".join(parts)


def _condition_table() -> str:
    rows = [
        f"| {kind} | {it.when_true} | {it.when_false} | {it.when_unknown} |"
        for kind, it in CONDITIONS.items()
    ]
    return "\n".join(["| type | True | False | Unknown |", "|---|---|---|---|", *rows])


def _reason(reason: Reason) -> str:
    lines = [f"### {reason.name}", reason.meaning]
    if reason.conditions:
        who = reason.actor.value
        stalled = f"{_STALLED_AT_ONCE[reason.goes_back]}. " if reason.stalls else ""
        lines.insert(1, f"*{_borne(reason)}. {stalled}Who acts: {who}.*")
        lines.append(f"**Runbook:** {reason.runbook}")
    return "\n\n".join(lines)


def _borne(reason: Reason) -> str:
    return f"{', '.join(reason.conditions)}: {reason.status}"


def generated() -> dict[Path, str]:
    """Return the text of every page, with what is written by hand as it stands.

    Raises:
        ValueError: A page has lost its marks.
    """
    crds = {crd["spec"]["names"]["kind"]: crd for crd in custom_resource_definitions()}
    parts = {
        "modeldeployment.md": kind_reference(ModelDeployment, crds["ModelDeployment"]),
        "acceleratorclass.md": kind_reference(AcceleratorClass, crds["AcceleratorClass"]),
        "conditions.md": conditions_reference(),
    }
    return {REFERENCE / name: _filled(REFERENCE / name, part) for name, part in parts.items()}


def _filled(path: Path, part: str) -> str:
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path}: the lines {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def differences() -> list[str]:
    """Return the lines of a unified diff from what is there to what should be."""
    lines: list[str] = []
    for path, text in generated().items():
        present, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        lines += difflib.unified_diff(
            present.splitlines(), text.splitlines(), name, "generated", lineterm=""
        )
    return lines


def main() -> int:
    """Run the command; the exit code is 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, report differences")
    if parser.parse_args().check:
        lines = differences()
        told = [*lines, "run hack/generate_reference.py"] if lines else ["reference is up to date"]
        print("\n".join(told))
        return 1 if lines else 0
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
