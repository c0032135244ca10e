"""The config.json files under tests/data/configs."""

import json
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parents[2] / "data" / "configs"


def config(name: str) -> dict[str, Any]:
    """Return the config.json of a published model, cut to the fields that matter."""
    data: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return data
