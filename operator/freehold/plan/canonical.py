"""Plain data in one form: what means the same has the same bytes and the same digest.

Helm writes 1000000 as ``1e+06``, the API server gives 10.0 back as 10, and keys come in any order;
none of that is a change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical(value: Any) -> Any:
    """Return plain data with sorted keys and every whole number as an int."""
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def canonical_json(value: Any) -> str:
    """Return data as JSON, the same text for data that means the same.

    >>> canonical_json({"b": 1e6, "a": [True, None]})
    '{"a":[true,null],"b":1000000}'
    """
    return json.dumps(canonical(value), separators=(",", ":"), allow_nan=False)


def digest(value: Any, length: int = 10) -> str:
    """Return the first hexadecimal digits of the SHA-256 of the data's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]
