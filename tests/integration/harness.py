"""What the integration tests share beside their fixtures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[2]
MINIMAL_CRDS = Path(__file__).parent / "data" / "kuberay_minimal_crds.yaml"
KUBECONFIG, KUBERAY_CRDS = "FREEHOLD_TEST_KUBECONFIG", "FREEHOLD_KUBERAY_CRDS"


def kuberay_crds() -> Path:
    """Return the folder of KubeRay's own CRDs, or the file of the minimal ones."""
    folder = os.environ.get(KUBERAY_CRDS)
    return Path(folder) if folder else MINIMAL_CRDS


def objects_list(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return objects as a text that ``kubectl --filename -`` takes."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


class Kubectl(Protocol):
    """Runs ``kubectl`` in the test's namespace and returns its standard output."""

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> str: ...
