"""A model's files: what tells them from others, and when they are not whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sources.weights import write_weights

from freehold.serving.weights import (
    Fingerprint,
    LocalFiles,
    WeightsError,
    changed_files,
    fingerprint,
    require,
)

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """A model in two shards with a tokenizer."""
    for name, size in zip(SHARDS, (5000, 3000), strict=True):
        write_weights(tmp_path / name, size)
    write(tmp_path, INDEX, {"weight_map": {f"layer.{i}": it for i, it in enumerate(SHARDS)}})
    write(tmp_path, "config.json", {"model_type": "llama"})
    write(tmp_path, "tokenizer.json", {"model": {}})
    return tmp_path


def write(folder: Path, name: str, value: Any) -> None:
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


def of(folder: Path) -> Fingerprint:
    return fingerprint(LocalFiles(folder))


def refusal(folder: Path, known: Fingerprint | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        require(LocalFiles(folder), known and known.digest, known and known.files)
    return str(caught.value)


def test_the_same_files_elsewhere_are_the_same(folder: Path, tmp_path_factory: Any) -> None:
    other: Path = tmp_path_factory.mktemp("other")
    # written in another order, at another time, through links as a hub's cache has them
    for path in sorted(folder.iterdir(), reverse=True):
        (other / path.name).symlink_to(path)
    assert of(other) == of(folder)
    assert of(folder).digest.startswith("sha256:")
    require(LocalFiles(other), of(folder).digest, of(folder).files)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config.json", {"model_type": "qwen3"}),
        ("tokenizer.json", {"model": {"vocab": {}}}),
        ("chat_template.jinja", "{{ messages }}"),
        ("modeling_llama.py", "class Llama: ..."),
        ("extra.bin", "0"),
    ],
)
def test_what_decides_how_a_model_answers_counts(folder: Path, name: str, value: Any) -> None:
    before = of(folder)
    write(folder, name, value)
    words = refusal(folder, before)
    what = "changed" if name in before.files else "added"
    assert words.startswith(f"the files are not those of the rollout: {what} {name}. ")
    assert words.endswith("or tell of the new ones by another spec.model.revision")


def test_a_missing_file_is_named(folder: Path) -> None:
    before = of(folder)
    (folder / "tokenizer.json").unlink()
    assert "rollout: missing tokenizer.json." in refusal(folder, before)


@pytest.mark.parametrize("name", ["README.md", "LICENSE", ".gitattributes", ".index.json"])
def test_what_does_not_may_change(folder: Path, name: str) -> None:
    before = of(folder)
    write(folder, name, "other words")
    (folder / "original").mkdir()
    write(folder / "original", "params.json", {})
    assert of(folder) == before


def test_another_header_is_another_file_and_other_values_are_not(folder: Path) -> None:
    before = of(folder)
    size = (folder / SHARDS[0]).stat().st_size
    with (folder / SHARDS[0]).open("r+b") as file:
        file.seek(size - 4)
        file.write(b"\x01")
    assert of(folder) == before, "the values of tensors are not read"
    write_weights(folder / SHARDS[0], size + 8)
    assert f"changed {SHARDS[0]}" in refusal(folder, before)


def test_a_header_longer_than_the_first_read_is_read_whole(folder: Path) -> None:
    def weights(last: int) -> None:
        entry = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
        names = {f"layer.{i:05}.weight": entry for i in range(9000)}
        text = json.dumps(names | {f"last.{last}": entry}).encode()
        assert len(text) > 256 << 10
        (folder / SHARDS[0]).write_bytes(len(text).to_bytes(8, "little") + text + b"0")

    weights(1)
    before = of(folder)
    weights(2)
    assert f"changed {SHARDS[0]}" in refusal(folder, before)


def test_a_cut_file_is_refused_by_its_name_whether_anything_is_known_or_not(folder: Path) -> None:
    before = of(folder)
    os.truncate(folder / SHARDS[1], 2999)
    told = f"{SHARDS[1]} has 2999 of 3000 bytes. Copy the model there again"
    assert refusal(folder) == told
    assert refusal(folder, before) == told


def test_a_shard_that_is_not_there_is_refused_by_its_name(folder: Path) -> None:
    (folder / SHARDS[0]).unlink()
    assert refusal(folder).startswith(f"{INDEX} names what is not there: {SHARDS[0]}.")


@pytest.mark.parametrize("content", ["", "version https://git-lfs.github.com/spec/v1", "{}"])
def test_a_file_that_is_no_safetensors_is_refused(folder: Path, content: str) -> None:
    write(folder, SHARDS[0], content)
    assert refusal(folder).startswith(f"{SHARDS[0]} has {len(content)} bytes and no safetensors")


@pytest.mark.parametrize("content", ["[]", "{", "{}", json.dumps({"weight_map": 3})])
def test_an_index_that_names_nothing_is_refused(folder: Path, content: str) -> None:
    write(folder, INDEX, content)
    assert refusal(folder).startswith(f"{INDEX} holds no weight_map.")


def test_a_folder_that_holds_no_model_is_refused(folder: Path, tmp_path_factory: Any) -> None:
    (folder / "config.json").unlink()
    assert refusal(folder).startswith("there is no config.json.")
    empty: Path = tmp_path_factory.mktemp("empty")
    write(empty, "config.json", {})
    assert refusal(empty).startswith("there are no weights.")


def test_of_many_files_few_are_named() -> None:
    old = {f"{i}.json": "0" for i in range(6)}
    assert changed_files(old, {}) == "missing 0.json, 1.json, 2.json and 3 more"
    assert changed_files({}, old) == ""


def test_without_the_files_digits_the_digests_are_told(folder: Path) -> None:
    with pytest.raises(WeightsError, match=f"{of(folder).digest} instead of sha256:0"):
        require(LocalFiles(folder), "sha256:0", {})


def test_a_checkpoint_as_large_as_405b_takes_no_time(tmp_path: Path) -> None:
    """Of 400 GiB in 190 files kilobytes are read."""
    names = [f"model-{i:05}-of-00190.safetensors" for i in range(1, 191)]
    for name in names:
        write_weights(tmp_path / name, 2 << 30)
    write(tmp_path, "config.json", {})
    counted = Counted(tmp_path)
    fingerprint(counted)
    assert counted.bytes_read < 190 * 2 * (257 << 10)


class Counted(LocalFiles):
    """Counts what is read."""

    bytes_read = 0

    def read(self, name: str, length: int) -> bytes:
        found = LocalFiles(self.folder).read(name, length)
        Counted.bytes_read += len(found)
        return found
