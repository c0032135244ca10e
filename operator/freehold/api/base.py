"""The base of every API type, and the rules that a type shares with its CRD.

A ``Rule`` is written once, in Python and in CEL: the CLI checks the first, the API server the
second, and both say the same sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

BROKEN_RULES = "broken_rules"


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition between the fields of one object.

    Attributes:
        field: The field that the fault is reported at, as written in YAML; "" for the object.
        message: What is allowed, as a sentence without a full stop.
        cel: The same condition for the API server, ``self`` being the object.
        holds: The condition in Python, over the validated object.
    """

    field: str
    message: str
    cel: str
    holds: Callable[[Any], bool]


def all_differ(values: Iterable[Any]) -> bool:
    """Tell whether no value occurs twice."""
    listed = list(values)
    return len(listed) == len(set(listed))


class ApiModel(BaseModel):
    """An object of the API: camelCase in YAML, closed to unknown fields, immutable."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        allow_inf_nan=False,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        broken = [rule for rule in self.rules if not rule.holds(self)]
        if broken:
            sentences = "; ".join(f"{rule.field}: {rule.message}" for rule in broken)
            raise PydanticCustomError(BROKEN_RULES, "{sentences}", {"sentences": sentences})
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the object as it stands in YAML, without fields that nobody set."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json")
