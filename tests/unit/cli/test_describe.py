"""``freehold describe``: what the operator's pod runs, tried as a command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.command_line import freehold, program
from tests.unit.sources.configs import config
from tests.unit.sources.fake_hub import COMMIT, FakeHub
from tests.unit.sources.weights import write_weights

from freehold.serving.weights import LocalFiles, fingerprint
from freehold.sources.told import read_told


def model_in(folder: Path) -> Path:
    (folder / "config.json").write_text(json.dumps(config("qwen3-4b")))
    write_weights(folder / "model.safetensors", 8 * 10**9)
    return folder


def hub(token: str | None = None) -> FakeHub:
    """A hub of Hugging Face's shape on this machine, with one model."""
    found = FakeHub(token=token)
    found.put("config.json", config("qwen3-4b"))
    found.put("model.safetensors.index.json", INDEX)
    found.put("model.safetensors", b"0")
    return found


INDEX = {"metadata": {"total_size": 8 * 10**9}, "weight_map": {"a": "model.safetensors"}}


def at(hub: FakeHub, tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), **more}


def test_a_folder_is_told_with_its_digest(tmp_path: Path) -> None:
    result = freehold("describe", f"file://{model_in(tmp_path)}")
    assert result.exit_code == 0
    told = read_told(result.stdout.strip())
    assert told.model is not None
    assert told.model.layers == 36
    assert told.pin.digest == fingerprint(LocalFiles(tmp_path)).digest


def test_the_answer_for_the_operator_goes_to_a_file(tmp_path: Path) -> None:
    message = tmp_path / "message"
    result = freehold("describe", f"file://{tmp_path}/none", "--output", str(message))
    assert (result.exit_code, result.stdout) == (5, "")
    (fault,) = read_told(message.read_text()).faults
    assert str(fault) in result.stderr
    assert fault.found == f"no such folder: {tmp_path}/none"


def test_the_pin_alone_needs_no_model_that_freehold_knows(tmp_path: Path) -> None:
    model_in(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "of tomorrow"}')
    assert freehold("describe", f"file://{tmp_path}").exit_code == 5
    told = read_told(freehold("describe", f"file://{tmp_path}", "--pin-only").stdout.strip())
    assert told.model is None
    assert told.pin.digest == fingerprint(LocalFiles(tmp_path)).digest


def test_a_hubs_branch_is_told_by_its_commit_with_the_token_of_the_environment(
    tmp_path: Path,
) -> None:
    with hub("the-token").running() as running:
        name = f"hf://{running.repository}"
        opened = program("describe", name, **at(running, tmp_path, HF_TOKEN="the-token"))
        pinned = program(
            "describe", name, "--pin-only", **at(running, tmp_path, HF_TOKEN="the-token")
        )
        refused = program("describe", name, **at(running, tmp_path, HF_TOKEN="another-token"))
    told = read_told(opened.stdout.strip())
    assert told.model is not None
    assert told.model.layers == 36
    assert told.pin.commit == read_told(pinned.stdout.strip()).pin.commit == COMMIT
    assert refused.returncode == 5
    assert "is gated" in refused.stderr
    assert "another-token" not in refused.stdout + refused.stderr


def test_what_is_no_source_is_refused() -> None:
    result = freehold("describe", "models/llama")
    assert result.exit_code == 2
    assert "SOURCE: found models/llama; allowed: a URL as spec.model.source has it" in result.stderr
