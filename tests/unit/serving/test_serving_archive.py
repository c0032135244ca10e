"""The archive with the code that runs inside Ray: reproducible, whole, and importable as a ZIP."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import freehold
from freehold.render.serve_config import SERVER_CLASS
from freehold.serving_archive import serving_archive

OPERATOR = Path(freehold.__file__).parents[1]


def test_the_archive_is_always_the_same_bytes() -> None:
    code = "import sys; from freehold.serving_archive import serving_archive as a; "
    code += "sys.stdout.buffer.write(a())"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        cwd=OPERATOR,
        env={**os.environ, "TZ": "Asia/Tokyo"},
    )
    assert elsewhere.stdout == serving_archive()


def test_the_archive_holds_what_runs_beside_the_engine_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(serving_archive())) as archive:
        assert archive.namelist() == [
            "freehold/__init__.py",
            "freehold/serving/__init__.py",
            "freehold/serving/api_keys.py",
            "freehold/serving/autoscaling/__init__.py",
            "freehold/serving/autoscaling/decision_log.py",
            "freehold/serving/autoscaling/engine_totals.py",
            "freehold/serving/autoscaling/headroom.py",
            "freehold/serving/autoscaling/load.py",
            "freehold/serving/autoscaling/memory.py",
            "freehold/serving/autoscaling/paper.py",
            "freehold/serving/autoscaling/policy.py",
            "freehold/serving/autoscaling/policy_words.py",
            "freehold/serving/autoscaling/rates.py",
            "freehold/serving/engine_death.py",
            "freehold/serving/guard.py",
            "freehold/serving/matrix_tiles.py",
            "freehold/serving/ray_http.py",
            "freehold/serving/scaling.py",
            "freehold/serving/server.py",
            "freehold/serving/weights.py",
            "freehold/serving/weights_check.py",
        ]


def test_the_class_that_serve_is_told_stands_in_it() -> None:
    module, _, name = SERVER_CLASS.rpartition(".")
    with zipfile.ZipFile(io.BytesIO(serving_archive())) as archive:
        source = archive.read(f"{module.replace('.', '/')}.py").decode()
    assert f"class {name}(" in source


def imported(code: str, *search_path: Path | str) -> str:
    """Run code with nothing in sight but these places, Ray taken away, and return its output."""
    before = "import sys; sys.modules['ray'] = None; "
    before += f"sys.path[:0] = {[str(item) for item in search_path]!r}; "
    # -I and -S: neither this folder nor any installed package is in sight
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", before + code],
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


GUARD = "import freehold.serving.guard as g; print(g.__file__, g.is_open('GET', '/v1/models'))"


@pytest.fixture(name="zipped")
def _zipped(tmp_path: Path) -> Path:
    """Return the archive as a pod has it: a link of a ConfigMap's volume, which is read-only."""
    folder = tmp_path / "..data"
    folder.mkdir()
    (folder / "serving.zip").write_bytes(serving_archive())
    (folder / "serving.zip").chmod(0o444)
    link = tmp_path / "serving.zip"
    link.symlink_to("..data/serving.zip")
    return link


def test_it_can_be_imported_where_nothing_is_installed(zipped: Path) -> None:
    assert imported(GUARD, zipped) == f"{zipped}/freehold/serving/guard.py True"


def test_unpacked_it_can_be_imported_too(zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(tmp_path / "unpacked")
    found = imported(GUARD, tmp_path / "unpacked")
    assert found == f"{tmp_path}/unpacked/freehold/serving/guard.py True"


def test_in_an_image_with_freehold_installed_it_comes_first_and_hides_nothing_else(
    zipped: Path,
) -> None:
    """The frozen code serves, and the image's own commands still find their modules."""
    code = f"{GUARD}; import freehold.errors as e; print(e.__file__)"
    assert imported(code, zipped, OPERATOR).splitlines() == [
        f"{zipped}/freehold/serving/guard.py True",
        f"{OPERATOR}/freehold/errors.py",
    ]


def test_the_search_path_of_the_environment_is_enough(zipped: Path) -> None:
    """As in a pod: PYTHONPATH names the ZIP, and Python's own folders are there."""
    ran = subprocess.run(
        [sys.executable, "-S", "-c", GUARD],
        capture_output=True,
        text=True,
        check=True,
        cwd=zipped.parent,
        env={"PYTHONPATH": str(zipped)},
    )
    assert ran.stdout.strip() == f"{zipped}/freehold/serving/guard.py True"
