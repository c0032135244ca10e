"""What the examples become, byte for byte.

A difference here is a second cluster or a restart of every replica for somebody who upgrades.
Where it is meant, ``FREEHOLD_UPDATE_GOLDEN=1 pytest tests/unit/render/test_golden.py`` writes it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from tests.unit.render.rendered import ARCHIVE, GOLDEN, NAMESPACE, ROOT, case_files, planned_file

from freehold.api.faults import Fault
from freehold.render.objects import model_objects, model_serve_config, object_yaml
from freehold.render.serve_config import to_yaml
from freehold.status.plan_status import plan_status

CASES = case_files()
FILES = {
    "ConfigMap": "config-map.yaml",
    "Service": "service.yaml",
    "RayService": "ray-service.yaml",
}
UPDATE = "FREEHOLD_UPDATE_GOLDEN"


def outputs(case: str) -> dict[str, str]:
    """Return the golden files of a case: name and text."""
    model, plan = planned_file(CASES[case])
    files = {
        "plan.yaml": to_yaml(plan_status(plan).to_dict()),
        "serve-config.yaml": to_yaml(model_serve_config(model, plan)),
    }
    objects = model_objects(model, plan, NAMESPACE, ARCHIVE)
    if isinstance(objects, Fault):
        return files | {"ray-service.refused.txt": f"{objects}\n"}
    return files | {_file_name(item): object_yaml(item) for item in objects}


def _file_name(item: dict[str, Any]) -> str:
    part = item["metadata"]["name"].rpartition("-")[2]
    return FILES.get(item["kind"], f"network-policy-{part}.yaml")


@pytest.mark.parametrize("case", CASES)
def test_renders_the_golden_bytes(case: str) -> None:
    folder = GOLDEN / case
    found = outputs(case)
    if os.environ.get(UPDATE):
        folder.mkdir(exist_ok=True)
        for stale in {*folder.iterdir()} - {folder / name for name in (*found, "manifest.yaml")}:
            stale.unlink()
        for name, text in found.items():
            (folder / name).write_bytes(text.encode())
    kept = {it.name: it.read_bytes() for it in folder.iterdir() if it.name != "manifest.yaml"}
    assert kept == {name: text.encode() for name, text in found.items()}


def test_every_golden_folder_is_of_a_case() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)


def test_the_same_input_gives_the_same_bytes_in_every_process() -> None:
    script = (
        "from tests.unit.render.test_golden import CASES, outputs\n"
        "for case in CASES:\n    print(outputs(case))"
    )
    path = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
    texts = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert texts[0] == texts[1]
    assert texts[0].count(b"serve-config.yaml") == len(CASES)
