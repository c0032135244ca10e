"""``freehold render``: RayServices or the Serve config alone, checked before they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.unit.cli.command_line import EXAMPLES, example, freehold, manifest, program
from tests.unit.local.manifests import written

from freehold.api.faults import Fault
from freehold.render.schema import check_serve_config

CATALOGUED = [p for p in sorted(EXAMPLES.glob("*.yaml")) if "hf://" in p.read_text()]


@pytest.mark.parametrize("path", CATALOGUED, ids=lambda path: path.stem)
def test_what_is_printed_is_a_serve_config_that_ray_takes(path: Path) -> None:
    result = freehold("render", "--serve-config", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    config = yaml.safe_load(result.stdout)
    assert check_serve_config(config) == ()
    assert [app["name"] for app in config["applications"]] == [path.stem.replace(".", "-")]


def test_the_plan_is_what_the_engine_is_told() -> None:
    config = yaml.safe_load(freehold("render", "--serve-config", example("llama-3.1-405b")).stdout)
    (llm,) = config["applications"][0]["args"]["llm_configs"]
    told = llm["engine_kwargs"]
    assert (told["tensor_parallel_size"], told["pipeline_parallel_size"]) == (8, 2)
    assert (told["max_model_len"], told["max_num_seqs"]) == (65_536, 32)
    assert len(llm["placement_group_config"]["bundles"]) == 16


@pytest.mark.parametrize("path", CATALOGUED, ids=lambda path: path.stem)
def test_a_model_becomes_a_ray_service_around_that_config(path: Path) -> None:
    result = freehold("render", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    (service,) = (it for it in yaml.safe_load_all(result.stdout) if it["kind"] == "RayService")
    assert service["metadata"]["name"] == path.stem.replace(".", "-")
    alone = yaml.safe_load(freehold("render", "--serve-config", str(path)).stdout)
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == alone


def test_the_objects_come_as_they_are_applied_who_may_connect_before_all_others() -> None:
    objects = list(yaml.safe_load_all(freehold("render", example("llama-3.1-8b")).stdout))
    kinds = ["NetworkPolicy", "NetworkPolicy", "ConfigMap", "RayService", "Service"]
    assert [item["kind"] for item in objects] == kinds
    assert {item["metadata"]["namespace"] for item in objects} == {"default"}


def test_several_models_are_objects_of_their_own_or_one_config() -> None:
    files = example("llama-3.1-8b"), example("llama-guard-3-8b")
    objects = list(yaml.safe_load_all(freehold("render", *files).stdout))
    names = [item["metadata"]["name"] for item in objects if item["kind"] == "RayService"]
    assert names == ["llama-3-1-8b", "llama-guard-3-8b"]
    config = yaml.safe_load(freehold("render", "--serve-config", *files).stdout)
    prefixes = [app["route_prefix"] for app in config["applications"]]
    assert prefixes == ["/llama-3-1-8b", "/llama-guard-3-8b"]
    assert check_serve_config(config) == ()


def test_the_same_manifest_gives_the_same_bytes() -> None:
    runs = [program("render", example("llama-3.1-8b"), PYTHONHASHSEED=s).stdout for s in "12"]
    assert runs[0] == runs[1] != ""


def test_a_model_that_nothing_carries_is_not_rendered() -> None:
    result = freehold("render", example("llama-3.1-8b"), manifest("impossible"))
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "no candidate carries impossible" in result.stderr
    assert "small: 8 x l4-24gb" in result.stderr


def test_a_suspended_model_has_no_application() -> None:
    text = Path(example("llama-3.1-8b")).read_text().replace("spec:\n", "spec:\n  suspend: true\n")
    result = freehold("render", "--serve-config", "-", text=text)
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["applications"] == []


def test_a_wrong_manifest_is_not_rendered() -> None:
    result = freehold("render", manifest("typos"))
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_config_that_ray_would_refuse_is_called_our_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = Fault("applications[0].nonsense", "unknown field 'nonsense'", "name")
    monkeypatch.setattr("freehold.compose.check_serve_config", lambda _: (fault,))
    result = freehold("render", example("llama-3.1-8b"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "a bug in Freehold" in result.stderr
    assert str(fault) in result.stderr


@pytest.mark.parametrize("apart", [True, False])
def test_one_serve_config_has_no_room_for_two_of_a_name(tmp_path: Path, apart: bool) -> None:
    first = Path(example("llama-3.1-8b")).read_text()
    second = first.replace("metadata:\n", "metadata:\n  namespace: team-b\n")
    assert first != second
    texts = [first, second] if apart else [f"{first}\n---\n{second}"]
    files = written(tmp_path, *texts)
    result = freehold("render", "--serve-config", *map(str, files))
    assert (result.exit_code, result.stdout) == (2, "")
    told = rf"{files[-1]}:\d+: metadata.name: found 'llama-3-1-8b', which {files[0]}:\d+ has too"
    assert re.match(told, result.stderr)
    assert "bug" not in result.stderr
    services = yaml.safe_load_all(freehold("render", *map(str, files)).stdout)
    places = [item["metadata"]["namespace"] for item in services if item["kind"] == "RayService"]
    assert places == ["default", "team-b"]


def test_what_a_class_lacks_on_a_cluster_has_the_line_of_its_own_model(tmp_path: Path) -> None:
    first = Path(example("llama-3.1-8b")).read_text()
    second = (
        "apiVersion: freehold.dev/v1alpha1\nkind: ModelDeployment\n"
        "metadata: {name: llama-3-1-8b, namespace: team-b}\n"
        "spec:\n  model: {source: hf://meta-llama/Llama-3.2-1B, contextLength: 2048}\n"
        "  hardware: {candidates: [{name: a, accelerator: tpu-v6e-32gb}]}\n"
    )
    (file,) = written(tmp_path, f"{first}\n---\n{second}")
    result = freehold("render", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    line = len(first.splitlines()) + 2
    places = [int(word) for word in re.findall(rf"^{file}:(\d+): ", result.stderr, re.MULTILINE)]
    assert len(places) == 1, result.stderr
    assert places[0] > line
