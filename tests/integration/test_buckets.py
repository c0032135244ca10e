"""A model in a bucket of a real S3 server, read as the pod that describes it reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from tests.s3.server import S3Server, running_s3
from tests.unit.cli.command_line import freehold
from tests.unit.sources.configs import config
from tests.unit.sources.weights import write_weights

from freehold.serving.weights import LocalFiles, fingerprint
from freehold.sources.told import Told, read_told

MODEL = "models/qwen"


@pytest.fixture(name="s3", scope="module")
def _s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("buckets")) as server:
        yield server


@pytest.fixture(name="folder")
def _folder(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in the bucket, and its keys in the environment."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    folder = s3.folder / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config("qwen3-4b")))
    (folder / "tokenizer.json").write_text("{}")
    write_weights(folder / "model.safetensors", 8 * 10**9)
    return folder


def described(source: str, *options: str) -> Result:
    return freehold("describe", source, *options)


def told(source: str, *options: str) -> Told:
    result = described(source, *options)
    assert result.exit_code == 0, result.output
    return read_told(result.stdout.strip())


def test_what_is_told_is_what_each_node_will_find(folder: Path) -> None:
    found = told(f"s3://{MODEL}")
    assert found.model is not None
    assert (found.model.layers, found.model.checkpoint.size) == (36, "8000000000")
    local = fingerprint(LocalFiles(folder))
    assert (found.pin.digest, found.pin.files) == (local.digest, local.files)
    assert told(f"s3://{MODEL}/", "--pin-only").pin == found.pin


def test_objects_below_other_folders_are_not_of_the_model(folder: Path) -> None:
    before = told(f"s3://{MODEL}").pin
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "config.json").write_text("{}")
    assert told(f"s3://{MODEL}").pin == before


def test_another_object_is_another_digest(folder: Path) -> None:
    before = told(f"s3://{MODEL}").pin
    (folder / "tokenizer.json").write_text('{"model": {}}')
    assert told(f"s3://{MODEL}").pin.digest != before.digest


def test_an_object_that_is_cut_off_is_named(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 10**6)
    for options in ((), ("--pin-only",)):
        result = described(f"s3://{MODEL}", *options)
        assert result.exit_code == 5
        assert "model.safetensors has 1000000 of 8000000000 bytes" in result.stderr


def test_keys_that_may_not_read_are_told_and_never_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    result = described(f"s3://{MODEL}")
    assert f"found s3://{MODEL} refuses to be read; allowed: a bucket that these" in result.stderr
    assert "another-secret" not in result.output


def test_what_is_not_there_is_told(folder: Path) -> None:
    assert "no config.json in s3://models/none" in described("s3://models/none").stderr
    assert "s3://nobucket/x, which is not there" in described("s3://nobucket/x").stderr


def test_a_server_that_does_not_answer_may_later(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    result = described(f"s3://{MODEL}", "--output", str(tmp_path / "message"))
    assert result.exit_code == 5
    (fault,) = read_told((tmp_path / "message").read_text()).faults
    assert (fault.cause.name, fault.path) == ("UNREACHABLE", "spec.model.source")
