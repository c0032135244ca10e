"""The operator's image, as far as it can be built where no container engine runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.integration.containerfile import Sandbox, Stage, ignored_by, read_stages

from freehold import __version__

ROOT = Path(__file__).resolve().parents[2]
BUILD, FINAL = read_stages((ROOT / "Containerfile").read_text())
IMPORTS = """
import importlib, pkgutil, freehold
for package in {packages!r}:
    module = importlib.import_module(f"freehold.{{package}}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"freehold.{{package}}."):
        importlib.import_module(found.name)
"""
# All but what needs the engine, which is not in this image: `serving` runs inside Ray, `local`
# and the command that calls it start one.
OF_THE_OPERATOR = (
    *("api", "catalog", "compose", "controller", "kube", "manifest_files"),
    *("plan", "render", "sources", "status"),
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """What the build stage leaves, in a folder."""
    sandbox = Sandbox.begin(tmp_path_factory.mktemp("image"), ROOT)
    sandbox.build(BUILD)
    return sandbox


def _run(image: Sandbox, *command: str | Path) -> str:
    program, *arguments = command
    done = subprocess.run(
        [image.root / "opt/freehold/bin" / program, *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": str(image.root / "home")},
        cwd=image.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.thorough
def test_the_entry_point_runs(image: Sandbox) -> None:
    (entry_point,) = FINAL.all("ENTRYPOINT")
    (program,) = json.loads(entry_point)
    assert _run(image, program, "--version").split()[-1] == __version__


@pytest.mark.thorough
def test_the_operators_requirements_suffice(image: Sandbox) -> None:
    _run(image, "python", "-c", IMPORTS.format(packages=OF_THE_OPERATOR))
    rendered = _run(image, "freehold", "render", ROOT / "examples" / "llama-3.1-8b.yaml")
    assert "kind: RayService" in rendered


@pytest.mark.thorough
def test_nothing_that_builds_or_installs_is_in_it(image: Sandbox) -> None:
    script = "import importlib.metadata as m; print(*(found.name for found in m.distributions()))"
    names = set(_run(image, "python", "-c", script).split())
    assert "freehold" in names
    assert not names & {"pip", "setuptools", "hatchling", "wheel", "uv", "pytest", "ruff", "ray"}
    assert not (image.root / "opt/freehold/bin/pip").exists()
    (remove_pip,) = FINAL.all("RUN")
    image.build(Stage("", (("RUN", remove_pip),)))
    assert not list((image.root / "base" / "bin").glob("pip*"))


def test_it_is_no_root_by_number_and_takes_only_what_was_built() -> None:
    assert FINAL.all("USER") == ["65532:65532"]
    assert FINAL.all("COPY") == ["--from=build /opt/freehold /opt/freehold"]


def test_the_build_is_sent_what_it_copies_and_little_else() -> None:
    patterns = [
        line
        for line in (ROOT / ".containerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    copied = [source for words in BUILD.all("COPY") for source in words.split()[:-1]]
    assert copied
    assert [source for source in copied if ignored_by(patterns, source)] == []
    for left_out in (".git", ".venv", "tests", "charts", "requirements/development.txt"):
        assert ignored_by(patterns, left_out), left_out
