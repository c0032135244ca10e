"""Tools are built once, whole or not at all, and a build that fails says why."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.control_plane import go, pinned
from tests.control_plane.build import BuildFailed, ensure
from tests.control_plane.pinned import Module, cache_folder, module_of, tool
from tests.integration.harness import ROOT

GOOD = 'package main\n\nvar version = "none"\n\nfunc main() { println(version) }\n'
BAD = "package main\n\nfunc main() { missing() }\n"
GO_MOD = """\
module example.com/hello

go 1.21

tool example.com/hello/hello

// hello v1.2.3
"""


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """A module whose program prints the version that it is stamped with."""
    folder = tmp_path / "tools" / "hello"
    (folder / "hello").mkdir(parents=True)
    (folder / "go.mod").write_text(GO_MOD)
    (folder / "go.sum").touch()
    (folder / "hello" / "main.go").write_text(GOOD)
    monkeypatch.setattr(pinned, "FOLDER", folder.parent)
    monkeypatch.setenv("FREEHOLD_CACHE", str(tmp_path / "cache"))
    return Module("hello", "// hello", {"greet": "hello"}, ("main.version",))


def test_builders_at_once_build_once(hello: Module) -> None:
    outputs = [io.StringIO(), io.StringIO()]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda output: ensure([hello], output), outputs))
    said = "".join(output.getvalue() for output in outputs)
    assert said.count("hello v1.2.3 (1 of 1): built in") == 1
    ran = subprocess.run([hello.built / "greet"], capture_output=True, text=True)
    assert ran.stderr == "v1.2.3\n"
    again = io.StringIO()
    ensure([hello], again)
    assert again.getvalue() == ""


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_a_change_of_a_pin_is_another_build(hello: Module, name: str) -> None:
    before = hello.built
    with (hello.folder / name).open("a") as file:
        file.write("// changed\n")
    assert hello.built != before


def test_a_failed_build_says_why_and_leaves_nothing(hello: Module) -> None:
    (hello.folder / "hello" / "main.go").write_text(BAD)
    with pytest.raises(BuildFailed, match=r"hello does not build(?s:.*)undefined: missing"):
        ensure([hello], io.StringIO())
    assert [path.name for path in hello.built.parent.iterdir()] == ["hello.lock"]


def test_without_a_go_pypis_is_asked_for_by_hash(
    hello: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(go, "find_spec", lambda _: None)
    monkeypatch.setattr(go, "_PIP", (sys.executable, "-c", "import sys; print(sys.argv[1:])"))
    with pytest.raises(go.GoMissing, match=r"Go 1\.21 or newer is needed"):
        ensure([hello], io.StringIO())


@pytest.mark.parametrize(
    ("program", "version"),
    [
        (["etcd", "--version"], "etcd Version: 3.6.5"),
        (["kubectl", "version", "--client"], "Client Version: v1.36.3"),
        (["kube-apiserver", "--version"], "Kubernetes v1.36.3"),
        (["kwok", "--version"], "kwok version v0.8.0"),
        (["helm", "version", "--short"], "v4.3.1"),
    ],
    ids=["etcd", "kubectl", "kube-apiserver", "kwok", "helm"],
)
def test_tools_know_their_version(program: list[str], version: str) -> None:
    done = subprocess.run([tool(program[0]), *program[1:]], capture_output=True, text=True)
    assert version in done.stdout


def test_an_unknown_tool_is_told_with_those_there_are() -> None:
    with pytest.raises(KeyError, match=r"no tool 'docker'; there are .*'kubectl'"):
        module_of("docker")


def test_what_is_built_stays_outside_the_tree() -> None:
    assert not cache_folder().is_relative_to(ROOT)
    assert os.access(tool("helm"), os.X_OK)
