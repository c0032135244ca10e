"""Engine arguments as flags of vLLM's command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def flags(arguments: Mapping[str, Any]) -> list[str]:
    """Return engine arguments as the flags of vLLM's command line."""
    found: list[str] = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            found += [f"--{flag}", value if isinstance(value, str) else json.dumps(value)]
    return found
