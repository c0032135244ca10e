"""Write what the charts repeat, or with --check say whether what is there is up to date.

Each Chart.yaml takes the version of the Python package; each chart's README takes its table of
values from the comments in values.yaml; the policy on engine arguments takes its list from the
planner's.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "operator"))

from freehold import __version__  # noqa: E402
from freehold.plan.engine_settings import OWNED_BY_PLAN, OWNED_WITHIN, REMOVE  # noqa: E402

CHARTS = ROOT / "charts"
OWNED_ARGUMENTS = CHARTS / "freehold" / "templates" / "_owned_arguments.tpl"
BEGIN, END = "<!-- values: written by hack/generate_charts.py -->", "<!-- end of values -->"


class Undocumented(ValueError):
    """A value without a comment above it."""


def values_table(text: str) -> str:
    """Return a Markdown table of the values of a values.yaml, in its order.

    A mapping in block style is a group of values; what is in flow style, a list or empty is one.

    Raises:
        Undocumented: A value has no comment on the lines above it.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    rows = [
        f"| `{path}` | `{default}` | {meaning} |"
        for path, default, meaning in _rows(root, text.splitlines(), ())
    ]
    return "\n".join(["| value | default | what it is |", "|---|---|---|", *rows])


def _rows(
    node: yaml.MappingNode, lines: list[str], path: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        here = (*path, key.value)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _rows(value, lines, here)
            continue
        comment = _comment_above(lines, key.start_mark.line)
        if not comment:
            raise Undocumented(f"values.yaml: {'.'.join(here)} has no comment above it")
        yield ".".join(here), _as_json(value), comment


def _comment_above(lines: list[str], number: int) -> str:
    """Return the comment that ends on the line before line ``number``, counted from 0."""
    comment: list[str] = []
    while number and lines[number - 1].lstrip().startswith("#"):
        number -= 1
        comment.insert(0, lines[number].lstrip(" #"))
    return " ".join(comment).replace("|", "\\|")


def _as_json(node: yaml.Node) -> str:
    return json.dumps(yaml.SafeLoader("").construct_document(node)).replace("|", "\\|")


def owned_arguments() -> str:
    """Return the arguments that the plan owns, as CEL in templates that a policy includes.

    Raises:
        ValueError: A sentence holds what Helm would take for an action.
    """
    owned = json.dumps(OWNED_BY_PLAN, indent=2)
    # a mapping of CEL has values of one type, so that what is harmless is compared as text
    fields = [
        dataclasses.asdict(item) | {"harmless": json.dumps(item.harmless)} for item in OWNED_WITHIN
    ]
    within = json.dumps(fields, indent=2)
    if "{{" in owned + within + REMOVE:
        raise ValueError("an argument's sentence holds {{, which Helm would execute")
    parts = {
        "freehold.ownedArguments": owned,
        "freehold.ownedWithinArguments": within,
        "freehold.removeArgument": REMOVE,
    }
    blocks = ["{{/* written by hack/generate_charts.py from the planner's lists */}}"]
    for name, text in parts.items():
        blocks.append(f'{{{{- define "{name}" -}}}}\n{text}\n{{{{- end -}}}}\n')
    return "\n".join(blocks)


def generated(chart: Path) -> dict[Path, str]:
    """Return the text of each file of a chart that holds something generated."""
    readme, metadata = chart / "README.md", chart / "Chart.yaml"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    table = values_table((chart / "values.yaml").read_text(encoding="utf-8"))
    versions = re.sub(
        r"^(version|appVersion): .*$",
        lambda found: f"{found[1]}: {__version__}",
        metadata.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    files = {readme: f"{before}{BEGIN}\n{table}\n{END}{after}", metadata: versions}
    if chart in OWNED_ARGUMENTS.parents:
        files[OWNED_ARGUMENTS] = owned_arguments()
    return files


def main() -> int:
    """Run the command; the exit code is 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, report differences")
    check = parser.parse_args().check
    lines: list[str] = []
    for chart in sorted(path.parent for path in CHARTS.glob("*/Chart.yaml")):
        for path, text in generated(chart).items():
            name = str(path.relative_to(ROOT))
            present = path.read_text(encoding="utf-8") if path.exists() else ""
            lines += difflib.unified_diff(
                present.splitlines(), text.splitlines(), name, "generated", lineterm=""
            )
            if not check:
                path.write_text(text, encoding="utf-8")
    if check:
        print(
            "\n".join([*lines, "run hack/generate_charts.py"] if lines else ["charts are current"])
        )
    return 1 if check and lines else 0


if __name__ == "__main__":
    sys.exit(main())
