"""Models in folders, whole and broken."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sources.configs import config

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.sources.local_folder import describe_folder


def write(folder: Path, name: str, value: Any) -> None:
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


def index(*names: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": metadata, "weight_map": {f"layer.{i}": n for i, n in enumerate(names)}}


def only_fault(folder: Path) -> Fault:
    found = describe_folder(folder)
    assert isinstance(found, tuple)
    assert len(found) == 1
    return found[0]


def size(folder: Path) -> str:
    found = describe_folder(folder)
    assert isinstance(found, ModelDescription), [str(fault) for fault in found]
    return found.checkpoint.size


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "config.json", config("qwen3-4b"))
    return tmp_path


@pytest.fixture
def sharded(folder: Path) -> Path:
    write(folder, "model.safetensors.index.json", index("a.safetensors", "b.safetensors"))
    write(folder, "a.safetensors", "x" * 300)
    write(folder, "b.safetensors", "x" * 200)
    return folder


def test_single_file(folder: Path) -> None:
    write(folder, "model.safetensors", "x" * 123)
    assert size(folder) == "123"


def test_shards_are_added_up_and_nothing_beside_them(sharded: Path) -> None:
    (sharded / "original").mkdir()
    write(sharded / "original", "consolidated.safetensors", "x" * 9999)
    write(sharded, "consolidated.safetensors", "x" * 9999)
    assert size(sharded) == "500"


@pytest.mark.parametrize(("total", "expected"), [(480, "480"), (480.0, "480"), (None, "500")])
def test_total_of_the_index(sharded: Path, total: float | None, expected: str) -> None:
    names = ("a.safetensors", "b.safetensors")
    write(sharded, "model.safetensors.index.json", index(*names, total_size=total))
    assert size(sharded) == expected


def test_model_as_transformers_5_saves_it(tmp_path: Path) -> None:
    write(tmp_path, "config.json", config("tiny-llama-transformers-5"))
    write(tmp_path, "model.safetensors", "x" * 4000)
    found = describe_folder(tmp_path)
    assert isinstance(found, ModelDescription)
    assert (found.layers, found.head_dim, found.max_context_length) == (2, 16, 512)
    assert (found.checkpoint.size, found.checkpoint.precision) == ("2000", "bf16")


def test_model_optimizer_file(folder: Path) -> None:
    write(folder, "model.safetensors", "x" * 100)
    write(folder, "hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}})
    found = describe_folder(folder)
    assert isinstance(found, ModelDescription)
    assert (found.checkpoint.precision, found.checkpoint.quantization) == ("fp8", "modelopt")


def test_no_folder(tmp_path: Path) -> None:
    assert "no such folder" in only_fault(tmp_path / "none").found
    write(tmp_path, "file", "")
    assert "a file" in only_fault(tmp_path / "file").found


def test_no_config(tmp_path: Path) -> None:
    write(tmp_path, "model.safetensors", "x")
    fault = only_fault(tmp_path)
    assert (fault.path, "no config.json" in fault.found) == ("spec.model.source", True)
    assert "hf download" in fault.hint


@pytest.mark.parametrize(
    ("text", "found"), [("{", "no JSON"), ("[1]", "a JSON list"), ("\udce9", "no JSON")]
)
def test_broken_config(folder: Path, text: str, found: str) -> None:
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    write(folder, "model.safetensors", "x")
    fault = only_fault(folder)
    assert fault.path == str(folder / "config.json")
    assert found in fault.found


def test_faults_of_config_and_weights_come_together(tmp_path: Path) -> None:
    found = describe_folder(tmp_path)
    assert isinstance(found, tuple)
    assert ["config.json" in f.found or "model.safetensors" in f.found for f in found] == [True] * 2


def test_missing_shards(sharded: Path) -> None:
    (sharded / "b.safetensors").unlink()
    fault = only_fault(sharded)
    assert fault.found.startswith("1 of 2 weight files missing")
    assert fault.found.endswith("b.safetensors")
    assert "hf download" in fault.hint


def test_pointers_that_git_left_are_no_weights(sharded: Path) -> None:
    write(sharded, "a.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "git-lfs pointers" in only_fault(sharded).found


@pytest.mark.parametrize(
    "content", [{}, {"weight_map": {}}, {"weight_map": []}, {"weight_map": {"a": "../b"}}]
)
def test_index_that_names_no_files(folder: Path, content: Any) -> None:
    write(folder, "model.safetensors.index.json", content)
    assert only_fault(folder).path.endswith("model.safetensors.index.json: weight_map")


def test_weights_in_another_format(folder: Path) -> None:
    write(folder, "pytorch_model.bin", "x")
    fault = only_fault(folder)
    assert "but .bin files" in fault.found
    assert "safetensors" in fault.hint


def test_faults_of_the_config_name_the_file(folder: Path) -> None:
    write(folder, "config.json", config("qwen3-4b") | {"num_hidden_layers": 0})
    write(folder, "model.safetensors", "x")
    assert only_fault(folder).path == f"{folder / 'config.json'}: num_hidden_layers"
