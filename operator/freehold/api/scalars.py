"""Scalar types of the API: whole numbers, durations, memory quantities, names.

Each carries its own sentence of what is allowed and the pattern that the CRD shows. Durations and
quantities stay strings, as written, so that a GitOps engine sees no difference.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MIB = 1 << 20
GIB = 1 << 30
# How long a worker pod may be without a replica before Ray's autoscaler ends it; Ray's own default,
# since a change of it would build a second cluster.
IDLE_WORKER_SECONDS = 60

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 1 << 10, "Mi": MIB, "Gi": GIB, "Ti": 1 << 40}
_UNIT = r"(k|M|G|T|Ki|Mi|Gi|Ti)?$"
_QUANTITY = rf"^[0-9]+(\.[0-9]+)?{_UNIT}"
# One digit other than 0, before the point or after it; the API server's regular expressions have
# no lookahead to say it shorter.
_POSITIVE = rf"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*){_UNIT}"


@dataclass(frozen=True, slots=True)
class Text:
    """Annotates a string that must match a pattern.

    Attributes:
        pattern: Regular expression over the whole string; it also stands in the CRD.
        allowed: What is allowed, in words, for the fault.
        max_length: Characters at the most; also in the CRD.
    """

    pattern: str
    allowed: str
    max_length: int

    def _check(self, value: str) -> str:
        # fullmatch, since `$` alone would let a trailing newline through
        if len(value) > self.max_length or not re.fullmatch(self.pattern, value):
            raise PydanticCustomError("format", "{allowed}", {"allowed": self.allowed})
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check after pydantic has seen that it is a string."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Show the pattern and the length in the JSON schema."""
        return {**handler(schema), "pattern": self.pattern, "maxLength": self.max_length}


def whole_number(value: Any) -> Any:
    """Take 1e+06, as Helm writes large numbers, for the whole number it is."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


# Upper bounds keep arithmetic and the API server's int64 sane; no field comes near them.
Count = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(whole_number)]
PositiveCount = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(whole_number)]

# Bounds of what a plan walks through one by one, so that no manifest keeps the planner busy: far
# above what exists (nodes carry 16 devices, models have 126 layers), far below what takes long.
MOST_DEVICES = 1024
MOST_LAYERS = 1024
MOST_STAGES = 256
DeviceCount = Annotated[int, Field(ge=1, le=MOST_DEVICES), BeforeValidator(whole_number)]
LayerCount = Annotated[int, Field(ge=1, le=MOST_LAYERS), BeforeValidator(whole_number)]
StageCount = Annotated[int, Field(ge=1, le=MOST_STAGES), BeforeValidator(whole_number)]

Duration = Annotated[
    str, Text(_DURATION, "a duration such as 2s, 500ms, 10m or 1h30m", max_length=32)
]
Quantity = Annotated[
    str, Text(_QUANTITY, "an amount of bytes such as 80Gi, 81559Mi or 16G", max_length=32)
]
PositiveQuantity = Annotated[
    str, Text(_POSITIVE, "an amount of bytes above 0 such as 80Gi, 81559Mi or 16G", max_length=32)
]
MODEL_NAME = Text(
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
    "lower-case letters, digits and '-', beginning with a letter, at most 40 characters",
    max_length=40,
)
Label = Annotated[str, MODEL_NAME]
ObjectName = Annotated[
    str,
    Text(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "a Kubernetes object name: lower-case letters, digits, '-' and '.', at most 253 characters",
        max_length=253,
    ),
]
# As Kubernetes takes them.
LabelKey = Annotated[
    str,
    Text(
        r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "a label's key such as team or example.com/team",
        max_length=317,
    ),
]
LabelValue = Annotated[
    str,
    Text(
        r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        "a label's value: letters, digits, '-', '_' and '.', at most 63 characters",
        max_length=63,
    ),
]


def duration_seconds(value: str) -> float:
    """Return the seconds of a duration such as ``1h30m``; the value must have been validated."""
    parts = re.findall(r"([0-9.]+)(ms|s|m|h)", value)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def quantity_bytes(value: str) -> int:
    """Return the bytes of a quantity such as ``80Gi``; the value must have been validated.

    A part of a byte counts as one, as Kubernetes rounds, so that what is above 0 stays so.
    """
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", value)
    assert match is not None, value
    return math.ceil(Fraction(match[1]) * _UNITS[match[2]])


def mebibytes(size: int) -> str:
    """Return a byte count as a Kubernetes quantity in whole MiB, rounded up."""
    return f"{-(-size // MIB)}Mi"
