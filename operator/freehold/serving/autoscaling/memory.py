"""What was learned, kept in a file of Ray's head: it outlives the controller and every edit.

A state is made of named tuples, tuples and numbers. As JSON it is nested lists, and a state of the
same form tells what they are. What does not fit, from another version, is not used.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from typing import Any

from freehold.serving.autoscaling.policy import State

# Older than that, traffic and replicas are other ones.
_OLDEST_S = 7 * 86_400.0


def save(path: str, state: State) -> None:
    """Write a state, wholly or not at all."""
    unfinished = f"{path}.new"
    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(unfinished, path)


def load(path: str, like: State) -> State | None:
    """Return the state of a file; None where there is none, or none that can be used.

    Args:
        path: Of the file.
        like: A state that has just begun, at the present time.
    """
    with contextlib.suppress(OSError, ValueError, TypeError):
        with open(path, encoding="utf-8") as file:
            found = _as(like, json.load(file))
        if isinstance(found, State) and 0 <= like.time - found.time < _OLDEST_S:
            return found
    return None


def _as(like: Any, data: Any) -> Any:
    """Return data in the form of something else.

    Raises:
        ValueError: If it has another one.
    """
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        if not isinstance(data, Sequence) or len(data) != len(like):
            raise ValueError(f"{type(like).__name__} has {len(like)} fields")
        return type(like)(*(_as(one, it) for one, it in zip(like, data, strict=True)))
    if isinstance(like, tuple) and like and hasattr(like[0], "_fields"):
        return tuple(_as(one, it) for one, it in zip(like, data, strict=True))
    if isinstance(like, dict):
        return {}
    return _tuples(data)


def _tuples(data: Any) -> Any:
    return tuple(_tuples(it) for it in data) if isinstance(data, list) else data
