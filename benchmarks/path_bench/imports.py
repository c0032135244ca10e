"""What all servers import, imported once beforehand."""

from __future__ import annotations

import os
import subprocess
import sys

_IMPORTS = (
    *("vllm.entrypoints.openai.api_server", "vllm.v1.worker.cpu_worker"),
    *("vllm.v1.engine.async_llm", "ray.serve.llm", "ray.dashboard.dashboard"),
)


def compile_imports() -> None:
    """Import it, so that no server pays for the bytecode or the page cache of the others."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-c", f"import {', '.join(_IMPORTS)}"], check=True)
