"""Durations, quantities, whole numbers and names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from freehold.api import scalars


def accepts(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2), ("500ms", 0.5), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("0s", 0)],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, seconds: float) -> None:
    assert accepts(scalars.Duration, text)
    assert scalars.duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "2 s", "-2s", "2d", "s", "2s\n", ".5s", "2sec", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert not accepts(scalars.Duration, text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("80Gi", 80 * 2**30),
        ("81559Mi", 81559 * 2**20),
        ("16G", 16 * 10**9),
        ("1.5Ti", 3 * 2**39),
        ("12", 12),
        ("7k", 7000),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_a_quantity_is_its_number_times_its_unit(text: str, size: int) -> None:
    assert accepts(scalars.Quantity, text)
    assert scalars.quantity_bytes(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "80GB", "80 Gi", "-1Gi", "80gi", "1e3", "80Gi\n"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    assert not accepts(scalars.Quantity, text)


@pytest.mark.parametrize("text", ["0", "0Gi", "0.0Mi", "00", "000.000Ti", "", "-1Gi", "1Gi\n"])
def test_a_quantity_that_must_be_something_is_above_zero(text: str) -> None:
    assert not accepts(scalars.PositiveQuantity, text)


@pytest.mark.parametrize("text", ["1", "10Gi", "0.5Gi", "01.0", "0.0001", "00.10Mi", "1.0Ti"])
def test_whatever_is_above_zero_is_at_least_a_byte(text: str) -> None:
    assert accepts(scalars.PositiveQuantity, text)
    assert scalars.quantity_bytes(text) >= 1


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0Mi"), (1, "1Mi"), (2**20, "1Mi"), (2**20 + 1, "2Mi")]
)
def test_mebibytes_are_rounded_up(size: int, text: str) -> None:
    assert scalars.mebibytes(size) == text


@pytest.mark.parametrize("value", [1, 1.0, 1e6, 2**31 - 1])
def test_a_whole_number_may_be_written_as_a_float(value: float) -> None:
    parsed = TypeAdapter(scalars.PositiveCount).validate_json(json.dumps(value), strict=True)
    assert parsed == value
    assert isinstance(parsed, int)


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", True, None, 2**31, 1e300, [1]])
def test_what_is_no_positive_number_is_refused(value: Any) -> None:
    assert not accepts(scalars.PositiveCount, value)


def test_the_bounds_of_a_number_stand_in_its_schema() -> None:
    schema = TypeAdapter(scalars.Count).json_schema()
    assert schema == {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}


@pytest.mark.parametrize("name", ["a", "a-1", "llama-3-1-405b", "a" * 40])
def test_a_label_that_may_begin_a_service_name_is_accepted(name: str) -> None:
    assert accepts(scalars.Label, name)


@pytest.mark.parametrize(
    "name", ["", "1a", "-a", "a-", "A", "a_b", "a.b", "a" * 41, "abc\n", "\nabc", "ä", "a b"]
)
def test_any_other_label_is_refused(name: str) -> None:
    assert not accepts(scalars.Label, name)


def test_the_sentence_of_a_text_is_what_the_error_says() -> None:
    with pytest.raises(ValidationError, match="beginning with a letter, at most 40 characters"):
        TypeAdapter(scalars.Label).validate_python("1a")
