"""A model that cannot be read from its source is told alike by ``plan``, ``render`` and ``run``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.command_line import freehold
from tests.unit.local.manifests import manifest, written
from tests.unit.sources.configs import config
from tests.unit.sources.weights import write_weights

from freehold.cli import run as run_module
from freehold.local.machine import Machine

COMMANDS = ["plan", "render", "run"]
TINY = config("tiny-llama-transformers-5")


@pytest.fixture(autouse=True)
def _no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(cores=8, available_memory=1 << 36, compiler="/usr/bin/g++")
    monkeypatch.setattr(run_module, "this_machine", lambda: machine)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def model_folder(folder: Path, config_text: str, weights: int = 800_000) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(config_text)
    write_weights(folder / "model.safetensors", weights, header_size=800_000)
    return folder


def starts_of_faults(command: str, *files: Path) -> tuple[int, list[str]]:
    result = freehold(command, *map(str, files))
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    return result.exit_code, [line for line in lines if ": found" in line]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON: "),
        (json.dumps(TINY | {"model_type": "mamba", "layer_types": None}), "a state-space model"),
        (json.dumps(TINY | {"num_hidden_layers": 0}), "num_hidden_layers: 0"),
    ],
)
def test_a_fault_of_the_config_is_told_where_the_manifest_names_the_source(
    tmp_path: Path, command: str, text: str, words: str
) -> None:
    folder = model_folder(tmp_path / "model", text)
    (file,) = written(tmp_path, manifest(source=f"file://{folder}"))
    code, (fault,) = starts_of_faults(command, file)
    assert code == 5
    assert fault.startswith(f"{file}:7: spec.model.source: found {folder}/config.json: ")
    assert words in fault


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("weights", [8, 1000, 799_999])
def test_an_incomplete_download_is_no_model_that_fits(
    tmp_path: Path, command: str, weights: int
) -> None:
    folder = model_folder(tmp_path / "model", json.dumps(TINY), weights)
    (file,) = written(tmp_path, manifest(source=f"file://{folder}", context=256))
    code, (fault,) = starts_of_faults(command, file)
    assert code == 5
    assert fault.startswith(f"{file}:7: spec.model.source: found {folder}/model.safetensors has ")
    assert "The download looks incomplete." in fault


@pytest.mark.parametrize("command", COMMANDS)
def test_a_hub_out_of_reach_is_no_fault_of_the_manifest(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (file,) = written(tmp_path, manifest(source="hf://acme/not-in-the-catalogue"))
    code, (fault,) = starts_of_faults(command, file)
    assert code == 5
    assert fault.startswith(f"{file}:7: spec.model.source: found ")
    assert "cannot be reached" in fault


@pytest.mark.parametrize("command", COMMANDS)
def test_the_sources_of_all_models_are_told_at_once(tmp_path: Path, command: str) -> None:
    texts = [manifest(name, source=f"file:///nope/{name}") for name in "abc"]
    files = written(tmp_path, f"{texts[0]}\n---\n{texts[1]}", texts[2])
    code, faults = starts_of_faults(command, *files)
    assert code == 5
    places = [fault.split(": found")[0] for fault in faults]
    wanted = [(files[0], 7), (files[0], 19), (files[1], 7)]
    assert places == [f"{file}:{line}: spec.model.source" for file, line in wanted]


@pytest.mark.parametrize("command", ["plan", "render"])
def test_the_help_knows_the_exit_code(command: str) -> None:
    told: Any = " ".join(freehold(command, "--help").output.split())
    assert "5 the model's files cannot be read" in told
