"""Fixtures of the live tests: real Ray, real vLLM, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.live.tiny_llama import make_tiny_llama

DEMO = Path("/var/tmp/freehold/gemma-3-270m")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random-weight Llama of 5 MB."""
    return make_tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def demo() -> Path:
    """Return the demo model's folder; `make setup` prepares it."""
    assert (DEMO / "config.json").is_file(), "run `make setup` first"
    return DEMO
