"""The values of the charts: each is documented, and the schema knows these and no others."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[3]
CHARTS = sorted(path.parent for path in (ROOT / "charts").glob("*/Chart.yaml"))
GENERATOR = ROOT / "hack" / "generate_charts.py"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_charts", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _value_paths(values: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Yield the paths in values.yaml, down to where the schema names no fields any more."""
    for name, value in values.items():
        fields = schema["properties"].get(name, {})
        if isinstance(value, dict) and "properties" in fields and name != "resources":
            yield from (f"{name}.{path}" for path in _value_paths(value, fields))
        else:
            yield name


def _schema_paths(schema: dict[str, Any]) -> Iterator[str]:
    for name, fields in schema["properties"].items():
        if "properties" in fields and name != "resources":
            yield from (f"{name}.{path}" for path in _schema_paths(fields))
        else:
            yield name


def test_both_charts_are_looked_at() -> None:
    assert [chart.name for chart in CHARTS] == ["freehold", "freehold-crds"]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_values_and_schema_name_the_same(chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    # Helm adds it to the values of every chart that is part of another
    named = set(_schema_paths(schema)) - ({"global"} - set(values))
    assert set(_value_paths(values, schema)) == named


ENTRY = {"name": "redis", "key": "password"}


@pytest.mark.parametrize(
    ("address", "secret", "taken"),
    [
        ("", {}, True),
        ("redis.redis-system:6379", {}, True),
        ("10.0.0.7:6379", ENTRY, True),
        ("redis:6379", {"name": "", "key": ""}, True),
        ("redis", {}, False),
        ("redis://redis:6379", {}, False),
        ("redis:0", {}, False),
        ("", ENTRY, False),
        ("redis:6379", {"name": "redis"}, False),
        ("redis:6379", {"key": "password"}, False),
        ("redis:6379", {"name": "Redis", "key": "password"}, False),
        ("redis:6379", {"name": "redis", "key": "a/b"}, False),
    ],
)
def test_a_redis_is_named_whole_or_not_at_all(
    address: str, secret: dict[str, str], taken: bool
) -> None:
    (chart,) = (it for it in CHARTS if it.name == "freehold")
    schema = json.loads((chart / "values.schema.json").read_text())
    given = {"gcsFaultTolerance": {"redisAddress": address, "passwordSecret": secret}}
    assert Draft202012Validator(schema).is_valid(given) is taken


def test_readme_and_version_are_current() -> None:
    check = [sys.executable, str(GENERATOR), "--check"]
    found = subprocess.run(check, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "charts are current\n")


def test_a_row_has_path_default_and_comment() -> None:
    text = "a:\n  # First line,\n  # second | line.\n  b: {c: [1]}\n\n# Nothing yet.\nd: ''\n"
    assert _generator().values_table(text).splitlines()[2:] == [
        '| `a.b` | `{"c": [1]}` | First line, second \\| line. |',
        '| `d` | `""` | Nothing yet. |',
    ]


def test_a_value_without_a_comment_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values.yaml: a.c has no comment above it"):
        _generator().values_table("a:\n  # Said.\n  b: 1\n  c: 2\n")


def test_an_argument_s_sentence_that_helm_would_execute_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = _generator()
    assert '"nnodes": "' in generator.owned_arguments()
    monkeypatch.setattr(generator, "OWNED_BY_PLAN", {"nnodes": "see {{ .Values }}"})
    with pytest.raises(ValueError, match="which Helm would execute"):
        generator.owned_arguments()
