"""Models in folders, whole and broken."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sources.configs import config
from tests.unit.sources.weights import write_weights

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.catalog.builtin import builtin_catalog
from freehold.sources.least_weights import least_bytes
from freehold.sources.local_folder import describe_folder

# Qwen3 4B has 8.04 of it in two shards.
GB = 10**9


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
    write_weights(folder / "a.safetensors", 5 * GB)
    write_weights(folder / "b.safetensors", 3 * GB)
    return folder


def test_single_file(folder: Path) -> None:
    write_weights(folder / "model.safetensors", 8 * GB + 1)
    assert size(folder) == "8000000001"


def test_shards_are_added_up_and_nothing_beside_them(sharded: Path) -> None:
    (sharded / "original").mkdir()
    write(sharded / "original", "consolidated.safetensors", "x" * 9999)
    write(sharded, "consolidated.safetensors", "x" * 9999)
    assert size(sharded) == "8000000000"


@pytest.mark.parametrize(
    ("total", "expected"), [(7_999, "7999"), (7_999.0, "7999"), (None, "8000000000")]
)
def test_total_of_the_index(sharded: Path, total: float | None, expected: str) -> None:
    names = ("a.safetensors", "b.safetensors")
    write(sharded, "model.safetensors.index.json", index(*names, total_size=total))
    assert size(sharded) == expected


def test_model_as_transformers_5_saves_it(tmp_path: Path) -> None:
    write(tmp_path, "config.json", config("tiny-llama-transformers-5"))
    write_weights(tmp_path / "model.safetensors", 800_000)
    found = describe_folder(tmp_path)
    assert isinstance(found, ModelDescription)
    assert (found.layers, found.head_dim, found.max_context_length) == (2, 16, 512)
    assert (found.checkpoint.size, found.checkpoint.precision) == ("400000", "bf16")


def test_model_optimizer_file(folder: Path) -> None:
    write_weights(folder / "model.safetensors", 4 * GB)
    write(folder, "hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}})
    found = describe_folder(folder)
    assert isinstance(found, ModelDescription)
    assert (found.checkpoint.precision, found.checkpoint.quantization) == ("fp8", "modelopt")


def test_no_folder(tmp_path: Path) -> None:
    assert "no such folder" in only_fault(tmp_path / "none").found
    write(tmp_path, "file", "")
    assert "a file" in only_fault(tmp_path / "file").found


def test_no_config(tmp_path: Path) -> None:
    write_weights(tmp_path / "model.safetensors", 8 * GB)
    fault = only_fault(tmp_path)
    assert (fault.path, "no config.json" in fault.found) == ("spec.model.source", True)
    assert "hf download" in fault.hint


@pytest.mark.parametrize(
    ("text", "found"), [("{", "no JSON"), ("[1]", "a JSON list"), ("\udce9", "no JSON")]
)
def test_broken_config(folder: Path, text: str, found: str) -> None:
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    write_weights(folder / "model.safetensors", 8 * GB)
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
    write_weights(folder / "model.safetensors", 8 * GB)
    assert only_fault(folder).path == f"{folder / 'config.json'}: num_hidden_layers"


def header(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"12345678",
        header(b""),
        header(b"{}", 10**9),
        header(b"{}", 2**63),
        header(b"no JSON"),
        header(b"[1, 2]"),
        header(b'{"w": 1}'),
        header(b'{"w": {"data_offsets": [0]}}'),
        header(b'{"w": {"data_offsets": [0, "8"]}}'),
        header(b"[" * 100_000),
    ],
)
def test_a_file_without_a_header_is_an_incomplete_download(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    fault = only_fault(folder)
    assert fault.path == "spec.model.source"
    assert fault.found.startswith(f"{folder / 'model.safetensors'} has ")
    assert "no safetensors header that can be read" in fault.found
    assert "The download looks incomplete." in fault.hint
    assert "hf download" in fault.hint


def test_a_shard_that_ends_too_early_is_an_incomplete_download(sharded: Path) -> None:
    write_weights(sharded / "b.safetensors", 3 * GB - 1, header_size=3 * GB)
    fault = only_fault(sharded)
    assert fault.found == f"{sharded / 'b.safetensors'} has 2999999999 of 3000000000 bytes"
    assert "The download looks incomplete." in fault.hint


@pytest.mark.parametrize(("gigabytes", "is_enough"), [(1, False), (2, False), (4, True)])
def test_far_too_few_bytes_for_the_shape_are_an_incomplete_download(
    folder: Path, gigabytes: int, is_enough: bool
) -> None:
    write_weights(folder / "model.safetensors", gigabytes * GB)
    if is_enough:
        assert size(folder) == str(gigabytes * GB)
        return
    fault = only_fault(folder)
    assert fault.path == "spec.model.source"
    assert fault.found.startswith("1 weight file of ")
    assert fault.allowed == "at least 5.5 GiB for the model of its config.json in bf16"
    assert "The download looks incomplete." in fault.hint


def test_fewer_bits_take_fewer_bytes(folder: Path) -> None:
    write_weights(folder / "model.safetensors", 2 * GB)
    write(folder, "hf_quant_config.json", {"quantization": {"quant_algo": "NVFP4"}})
    assert size(folder) == str(2 * GB)


@pytest.mark.parametrize("name", sorted(builtin_catalog().models))
def test_what_a_shape_takes_at_least_is_less_than_what_a_known_model_takes(name: str) -> None:
    known = builtin_catalog().model(name)
    assert known is not None
    stored = int(known.description.checkpoint.size)
    assert 0.4 * stored < least_bytes(known.description) < 0.95 * stored
