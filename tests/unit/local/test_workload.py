"""What a set of files asks to be served, on the devices at hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.local.manifests import CPU, manifest, written

from freehold.errors import ManifestInvalid, NoPlanFits, WeightsUnavailable
from freehold.local.machine import Gpu
from freehold.local.workload import Choices, load

OFFLINE = Choices(vendors=("cpu",), offline=True)
GPU = "{name: big, accelerator: h100-80gb}"


def test_one_model_answers_at_the_root(tmp_path: Path) -> None:
    (model,) = load(written(tmp_path, manifest()), OFFLINE)
    assert model.application is not None
    assert model.application["route_prefix"] == "/"
    assert (model.name, model.deployment, model.least_replicas) == (
        "chat",
        "FreeholdServer:chat",
        1,
    )
    assert model.application["deployments"][0]["name"] == model.deployment


def test_several_models_answer_under_their_names(tmp_path: Path) -> None:
    both = f"{manifest('a')}\n---\n{manifest('b')}"
    models = load(written(tmp_path, both, manifest("c")), OFFLINE)
    routes = [model.application["route_prefix"] for model in models if model.application]
    assert routes == ["/a", "/b", "/c"]


def test_a_file_that_is_named_twice_is_served_once(tmp_path: Path) -> None:
    (file,) = written(tmp_path, manifest())
    assert len(load([file, file], OFFLINE)) == 1


@pytest.mark.parametrize("none", ["  replicas: 0", "  suspend: true"])
def test_a_model_without_replicas_has_a_plan_and_no_application(tmp_path: Path, none: str) -> None:
    (model,) = load(written(tmp_path, manifest(more=none)), OFFLINE)
    assert model.application is None
    assert (model.least_replicas, model.plan.candidate) == (0, "cores")


def test_the_first_candidate_that_this_machine_can_carry_out_is_taken(tmp_path: Path) -> None:
    file = written(tmp_path, manifest(candidates=f"{GPU}, {CPU}"))
    assert load(file, OFFLINE)[0].plan.candidate == "cores"
    assert load(file, Choices(vendors=("nvidia", "cpu"), offline=True))[0].plan.candidate == "big"
    assert load(file, Choices(offline=True))[0].plan.candidate == "big"


def test_a_manifest_for_gpus_only_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    other = "{name: l4, accelerator: l4-24gb}"
    with pytest.raises(NoPlanFits) as told:
        load(written(tmp_path, manifest(candidates=f"{GPU}, {other}")), OFFLINE)
    sentence = str(told.value)
    assert "chat asks for h100-80gb, l4-24gb, and this machine offers cpu only" in sentence
    assert "run with --accelerator cpu" in sentence
    assert "{name: cores, accelerator: cpu} to spec.hardware.candidates" in sentence


def test_a_manifest_without_hardware_takes_the_cores_of_a_machine_without_gpus(
    tmp_path: Path,
) -> None:
    (model,) = load(written(tmp_path, manifest(candidates="")), OFFLINE)
    assert (model.plan.candidate, model.plan.accelerator.vendor) == ("cpu", "cpu")


def test_accelerators_of_the_command_line_come_before_the_manifests(tmp_path: Path) -> None:
    file = written(tmp_path, manifest(candidates=GPU))
    (model,) = load(file, Choices(vendors=("cpu",), accelerators=("cpu",), offline=True))
    assert model.plan.accelerator.name == "cpu"


def test_a_class_of_the_files_can_be_named(tmp_path: Path) -> None:
    own = """apiVersion: freehold.dev/v1alpha1
kind: AcceleratorClass
metadata: {name: fat-core}
spec: {extends: cpu, memory: 16Gi}
"""
    choices = Choices(vendors=("cpu",), accelerators=("fat-core",), offline=True)
    (model,) = load(written(tmp_path, own, manifest(context=8192)), choices)
    assert (model.plan.accelerator.name, model.plan.accelerator.vendor) == ("fat-core", "cpu")


def test_an_unknown_accelerator_is_refused_with_the_nearest(tmp_path: Path) -> None:
    choices = Choices(accelerators=("h100", "cpu"), offline=True)
    with pytest.raises(ManifestInvalid, match=r"--accelerator: .*'h100'.*Did you mean h100-80gb"):
        load(written(tmp_path, manifest()), choices)


def test_a_model_that_nothing_carries_is_refused_with_every_reason(tmp_path: Path) -> None:
    text = manifest(source="hf://meta-llama/Llama-3.1-405B", candidates=f"{CPU}, {GPU}")
    with pytest.raises(NoPlanFits) as told:
        load(written(tmp_path, text), Choices(vendors=("cpu",), offline=True))
    first, reason = str(told.value).splitlines()
    assert first == "no candidate carries chat:"
    assert reason.startswith("  cores: ")
    assert "GiB" in reason


def test_faults_of_several_files_are_told_together(tmp_path: Path) -> None:
    bad = manifest("a").replace("spec:", "spec:\n  replica: 1")
    worse = manifest("b", context=-1)
    missing = tmp_path / "nowhere.yaml"
    good, first, second = written(tmp_path, manifest("c"), bad, worse)
    with pytest.raises(ManifestInvalid) as told:
        load([good, first, missing, second], OFFLINE)
    lines = str(told.value).splitlines()
    assert len(lines) == 3
    assert f"{missing}: " in lines[0]
    assert "cannot be read (No such file or directory)" in lines[0]
    assert lines[1].startswith(f"{first}:6: spec.replica")
    assert lines[2].startswith(f"{second}:")
    assert "contextLength" in lines[2]


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff\xfe\x00", "it is no UTF-8 text"), (None, "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "model.yaml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(ManifestInvalid, match=rf"model\.yaml: .*{words}"):
        load([file], OFFLINE)


def test_a_name_that_two_files_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match=r"1\.yaml:4: metadata.name: .*0\.yaml:4 has too"):
        load(written(tmp_path, manifest(), manifest()), OFFLINE)


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_files_without_a_model_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ManifestInvalid):
        load(written(tmp_path, text), OFFLINE)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("file:///nope", "no such folder: /nope"),
        ("hf://acme/not-in-the-catalogue", "acme/not-in-the-catalogue"),
        ("pvc://claim/model", "a pvc:// source, which planning cannot read"),
    ],
)
def test_a_model_that_cannot_be_had_is_told_with_its_file(
    tmp_path: Path, source: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty-cache"))
    (file,) = written(tmp_path, manifest(source=source))
    with pytest.raises(WeightsUnavailable) as told:
        load([file], OFFLINE)
    assert str(told.value).startswith(f"{file}:7: spec.model.source: ")
    assert words in str(told.value)


def test_a_bad_engine_argument_is_the_manifests_fault(tmp_path: Path) -> None:
    text = manifest(more="  engine: {args: {max_num_seq: 4}}")
    with pytest.raises(ManifestInvalid, match=r"spec\.engine\.args\.max_num_seq.*max_num_seqs"):
        load(written(tmp_path, text), OFFLINE)


def test_the_way_of_requests_and_our_code_reach_the_application(tmp_path: Path) -> None:
    choices = Choices(path="stock", code="gcs://_ray_pkg_1.zip", offline=True)
    (model,) = load(written(tmp_path, manifest()), choices)
    assert model.application is not None
    assert model.application["runtime_env"]["py_modules"] == ["gcs://_ray_pkg_1.zip"]
    names = [item["name"] for item in model.application["deployments"]]
    assert names == ["FreeholdServer:chat", "OpenAiIngress"]


def test_a_name_of_two_namespaces_is_refused_since_one_ray_serve_holds_both(
    tmp_path: Path,
) -> None:
    other = manifest().replace("  name: chat", "  name: chat\n  namespace: team-b")
    with pytest.raises(ManifestInvalid) as told:
        load(written(tmp_path, f"{manifest()}\n---\n{other}"), OFFLINE)
    assert re.match(
        r".*0\.yaml:16: metadata\.name: found 'chat', which .*0\.yaml:4 has too; "
        r"allowed: each name once, whatever the namespaces",
        str(told.value),
    )


def test_what_all_models_lack_is_told_at_once(tmp_path: Path) -> None:
    first, second = manifest("a", source="file:///nope"), manifest("b", source="pvc://claim/b")
    one, two = written(tmp_path, first, f"{manifest('c')}\n---\n{second}")
    with pytest.raises(WeightsUnavailable) as told:
        load([one, two], OFFLINE)
    starts = [line.split(": found")[0] for line in str(told.value).splitlines()]
    assert starts == [f"{one}:7: spec.model.source", f"{two}:19: spec.model.source"]


def test_a_source_comes_before_what_carries_the_others(tmp_path: Path) -> None:
    gpus, lost = manifest("a", candidates=GPU), manifest("b", source="file:///nope")
    with pytest.raises(WeightsUnavailable):
        load(written(tmp_path, gpus, lost), OFFLINE)


def test_every_model_that_nothing_carries_is_told(tmp_path: Path) -> None:
    big = manifest("b", source="hf://meta-llama/Llama-3.1-405B")
    with pytest.raises(NoPlanFits) as told:
        load(written(tmp_path, manifest("a", candidates=GPU), big), OFFLINE)
    first, second, reason = str(told.value).splitlines()
    assert first.startswith("a asks for h100-80gb, and this machine offers cpu only")
    assert second == "no candidate carries b:"
    assert reason.startswith("  cores: ")


def test_a_ray_that_runs_already_needs_to_be_told_the_hardware(tmp_path: Path) -> None:
    file = written(tmp_path, manifest(candidates=""))
    with pytest.raises(NoPlanFits, match="chat does not say what hardware it runs on"):
        load(file, Choices(path="stock", offline=True))
    (model,) = load(file, Choices(path="stock", accelerators=("l4-24gb",), offline=True))
    assert model.plan.accelerator.name == "l4-24gb"


@pytest.mark.parametrize(
    ("product", "mib", "named"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "h100-80gb"),
        ("NVIDIA H100 NVL", 95830, "h100-nvl-94gb"),
        ("NVIDIA A100-SXM4-40GB", 40960, "a100-40gb"),
        ("NVIDIA A100-SXM4-80GB", 81920, "a100-80gb"),
        ("NVIDIA L40S", 46068, "l40s-48gb"),
        ("NVIDIA L4", 23034, "l4-24gb"),
        # in no catalogue: the nearest below it
        ("NVIDIA GeForce RTX 4090", 24564, "l4-24gb"),
    ],
)
def test_a_manifest_without_hardware_is_planned_for_the_gpu_at_hand(
    tmp_path: Path, product: str, mib: int, named: str
) -> None:
    choices = Choices(vendors=("nvidia", "cpu"), gpu=Gpu(product, mib * 2**20), offline=True)
    (model,) = load(written(tmp_path, manifest(candidates="")), choices)
    assert model.plan.accelerator.name == named
