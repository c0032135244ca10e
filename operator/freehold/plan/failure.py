"""That a rollout was given up, as it is written on its revision.

It stands there until the revision is asked for again, so a new process goes on from it. A
ControllerRevision's data never change; its annotations may.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """That a rollout was given up.

    Attributes:
        generation: Generation of the spec that had asked for it.
        deadline: ``spec.rollout.progressDeadline`` as it was written then; "" where it was not.
        cause: Why, in a sentence.
        back_to: Name of the revision that had served last, and serves instead.
    """

    generation: int
    deadline: str
    cause: str
    back_to: str


def failure_text(failure: Failure) -> str:
    """Return what stands in the annotation: JSON in one line."""
    told = {
        "generation": failure.generation,
        "progressDeadline": failure.deadline,
        "cause": failure.cause,
        "backTo": failure.back_to,
    }
    return json.dumps(told, ensure_ascii=False)


def read_failure(text: str | None) -> Failure | None:
    """Return what an annotation says; None where it is missing or not what we write."""
    try:
        told = json.loads(text or "null")
    except ValueError:
        return None
    return _failure(told) if isinstance(told, Mapping) else None


def _failure(told: Mapping[str, Any]) -> Failure | None:
    generation = told.get("generation")
    texts = [told.get(name) for name in ("progressDeadline", "cause", "backTo")]
    known = [it for it in texts if isinstance(it, str)]
    if not isinstance(generation, int) or len(known) < len(texts):
        return None
    return Failure(generation, *known)
