"""``freehold validate``: every fault with its line, or that all is well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.unit.cli.command_line import EXAMPLES, example, freehold, manifest
from tests.unit.local.manifests import written


def starts(text: str) -> list[str]:
    """Return file, line and field of each fault."""
    return [line.split(": found")[0] for line in text.splitlines() if ": found" in line]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_valid(path: Path) -> None:
    result = freehold("validate", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert " is valid\n" in result.stdout


def test_what_is_valid_is_named() -> None:
    file = manifest("own-class")
    assert freehold("validate", file).stdout == (
        f"{file}: AcceleratorClass cellar is valid\n{file}: ModelDeployment chat is valid\n"
    )


def test_faults_are_told_with_file_and_line_and_the_nearest_name() -> None:
    file = manifest("typos")
    result = freehold("validate", file)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert starts(result.stderr) == [
        f"{file}:10: spec.hardware.candidates[0].accelerator",
        f"{file}:11: spec.hardware.candidates[0].acelerator",
        f"{file}:12: spec.replicas",
    ]
    assert "Did you mean accelerator?" in result.stderr
    assert result.stderr.endswith("error: 3 faults in what was given; mend it and try again\n")


def test_names_and_arguments_that_only_the_catalogue_knows_have_their_lines_too() -> None:
    file = manifest("unknown-names")
    result = freehold("validate", file)
    assert result.exit_code == 2
    assert starts(result.stderr) == [
        f"{file}:11: spec.hardware.candidates[0].accelerator",
        f"{file}:14: spec.engine.args.max_num_seq",
        f"{file}:15: spec.engine.args.tensor_parallel_size",
        f"{file}:17: spec.engine.images[0].accelerator",
        f"{file}:25: AcceleratorClass mine: spec.extends",
    ]
    assert "Did you mean h100-80gb" in result.stderr
    assert "Did you mean max_num_seqs?" in result.stderr
    assert "spec.hardware.candidates[].parallelism.tensor" in result.stderr


def test_all_files_are_judged_and_the_good_ones_are_named() -> None:
    good, bad = example("llama-3.1-8b"), manifest("typos")
    result = freehold("validate", bad, good)
    assert result.exit_code == 2
    assert result.stdout == f"{good}: ModelDeployment llama-3-1-8b is valid\n"
    assert len(starts(result.stderr)) == 3


def test_a_class_may_stand_in_another_file(tmp_path: Path) -> None:
    documents = Path(manifest("own-class")).read_text().split("---\n")
    names = []
    for i, text in enumerate(documents):
        file = tmp_path / f"{i}.yaml"
        file.write_text(text)
        names.append(str(file))
    assert freehold("validate", *names).exit_code == 0
    assert freehold("validate", names[1]).exit_code == 2


def test_the_same_fault_of_two_models_of_a_file_has_each_its_own_line(tmp_path: Path) -> None:
    model = (
        "apiVersion: freehold.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {{name: {}}}\n"
        "spec:\n  model: {{source: hf://a/b}}\n  engine:\n    args:\n      nonsense: 1\n"
    )
    file = tmp_path / "two.yaml"
    file.write_text("---\n".join(model.format(name) for name in "ab"))
    assert starts(freehold("validate", str(file)).stderr) == [
        f"{file}:8: spec.engine.args.nonsense",
        f"{file}:17: spec.engine.args.nonsense",
    ]


def test_standard_input_is_read() -> None:
    text = Path(example("llama-3.1-8b")).read_text()
    result = freehold("validate", "-", text=text)
    assert result.stdout == "standard input: ModelDeployment llama-3-1-8b is valid\n"
    wrong = freehold("validate", "-", text="kind: Pod\n")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("standard input:1: apiVersion: found nothing; allowed: ")


def test_what_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    folder, binary = tmp_path / "folder", tmp_path / "binary"
    folder.mkdir()
    binary.write_bytes(b"\xff\xfe")
    for name in ("missing.yaml", str(folder), str(binary)):
        result = freehold("validate", name)
        assert result.exit_code == 2
        first = result.stderr.splitlines()[0]
        assert first.startswith(f"{name}: cannot be read (")
        assert first.endswith("); give the path of a YAML manifest, or - for standard input")
    told = freehold("validate", "missing.yaml").stderr
    assert "cannot be read (No such file or directory)" in told


def test_an_unknown_class_is_told_beside_faults_of_the_fields(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(
        "apiVersion: freehold.dev/v1alpha1\n"
        "kind: ModelDeployment\n"
        "metadata: {name: m}\n"
        "spec:\n"
        "  model: {source: hf://a/b, contextLenght: 5}\n"
        "  hardware:\n"
        "    candidates:\n"
        "    - {name: a, accelerator: h100}\n"
        "    - {name: b, accelerator: 7}\n"
    )
    result = freehold("validate", str(file))
    assert result.exit_code == 2
    assert f"{file}:5: spec.model.contextLenght: found unknown field" in result.stderr
    assert f"{file}:8: spec.hardware.candidates[0].accelerator: found unknown" in result.stderr
    assert "Did you mean h100-80gb" in result.stderr
    assert f"{file}:9: spec.hardware.candidates[1].accelerator: found 7" in result.stderr


FLOW = (
    "{{apiVersion: freehold.dev/v1alpha1, kind: ModelDeployment, metadata: {{name: m}}, "
    "spec: {{model: {{source: 'hf://a/b'}}, hardware: {{candidates: [{{name: a, accelerator: "
    "{accelerator}}}]}}, engine: {{args: {{{args}}}}}}}}}"
)


def test_no_fault_of_a_line_hides_another() -> None:
    args = "max_num_seqs: 0, tensor_parallel_size: 2, foo: 3"
    result = freehold("validate", "-", text=FLOW.format(accelerator="nope", args=args))
    assert result.exit_code == 2
    assert sorted(starts(result.stderr)) == [
        "standard input:1: spec.engine.args.foo",
        # refused by the engine and by the planner, and told once
        "standard input:1: spec.engine.args.max_num_seqs",
        "standard input:1: spec.engine.args.tensor_parallel_size",
        "standard input:1: spec.hardware.candidates[0].accelerator",
    ]


def test_json_on_one_line_is_told_as_much_as_yaml_on_many() -> None:
    data = yaml.safe_load(FLOW.format(accelerator="nope", args="foo: 3, tensor_parallel_size: 2"))
    one_line = starts(freehold("validate", "-", text=json.dumps(data)).stderr)
    many = starts(freehold("validate", "-", text=yaml.safe_dump(data)).stderr)
    fields = [sorted(line.split(": ")[1] for line in lines) for lines in (one_line, many)]
    assert fields[0] == fields[1]
    assert len(fields[0]) == 3


def model_in(namespace: str | None, name: str = "chat") -> str:
    scope = f", namespace: {namespace}" if namespace else ""
    return (
        "apiVersion: freehold.dev/v1alpha1\nkind: ModelDeployment\n"
        f"metadata: {{name: {name}{scope}}}\n"
        "spec:\n  model: {source: hf://meta-llama/Llama-3.2-1B, contextLength: 2048}\n"
    )


@pytest.mark.parametrize("apart", [True, False])
def test_one_name_in_two_namespaces_is_two_models(tmp_path: Path, apart: bool) -> None:
    first, second = model_in(None), model_in("team-b")
    texts = [first, second] if apart else [f"{first}---\n{second}"]
    files = [str(file) for file in written(tmp_path, *texts)]
    for command in ("validate", "plan", "render"):
        result = freehold(command, *files)
        assert (result.exit_code, result.stderr) == (0, ""), command


def test_a_fault_of_the_second_namespace_has_its_own_line(tmp_path: Path) -> None:
    second = model_in("team-b") + "  engine: {args: {foo: 1}}\n"
    (file,) = written(tmp_path, f"{model_in(None)}---\n{second}")
    assert starts(freehold("validate", str(file)).stderr) == [f"{file}:12: spec.engine.args.foo"]


@pytest.mark.parametrize("apart", [True, False])
def test_no_namespace_is_the_default_namespace(tmp_path: Path, apart: bool) -> None:
    first, second = model_in("default"), model_in(None)
    texts = [first, second] if apart else [f"{first}---\n{second}"]
    files = written(tmp_path, *texts)
    result = freehold("validate", *map(str, files))
    assert result.exit_code == 2
    line = 3 if apart else 9
    assert starts(result.stderr) == [f"{files[-1]}:{line}: metadata.name"]
    if apart:
        assert f"'chat', which {files[0]}:3 has too" in result.stderr


@pytest.mark.parametrize("same", [True, False])
def test_a_class_that_two_files_define_is_told(tmp_path: Path, same: bool) -> None:
    own = (
        "apiVersion: freehold.dev/v1alpha1\nkind: AcceleratorClass\n"
        "metadata: {name: fat}\nspec: {extends: cpu, memory: 16Gi}\n"
    )
    files = written(tmp_path, own, own if same else own.replace("fat", "lean"))
    result = freehold("validate", *map(str, files))
    assert result.exit_code == (2 if same else 0)
    told = f"{files[1]}:3: metadata.name: found 'fat', which {files[0]}:3 has too"
    assert (told in result.stderr) == same


def test_arguments_that_clash_with_workload_or_cores_are_faults(tmp_path: Path) -> None:
    text = model_in(None) + (
        "  workload: {concurrentRequests: 65, promptTokens: 8, outputTokens: 8}\n"
        "  hardware: {candidates: [{name: cores, accelerator: cpu}]}\n"
        "  engine:\n    args:\n      max_num_batched_tokens: 64\n      dtype: float16\n"
    )
    (file,) = written(tmp_path, text)
    for command in ("validate", "plan"):
        result = freehold(command, str(file))
        assert result.exit_code == 2
        assert starts(result.stderr) == [
            f"{file}:10: spec.engine.args.max_num_batched_tokens",
            f"{file}:11: spec.engine.args.dtype",
        ]


def test_an_argument_that_the_plan_owns_is_told_as_such_however_it_is_spelt(tmp_path: Path) -> None:
    arguments = "{--tensor-parallel-size: 2, data-parallel_size: 0, model: x, max-num-seqs: 2}"
    (file,) = written(tmp_path, model_in(None) + f"  engine: {{args: {arguments}}}\n")
    told = freehold("validate", str(file)).stderr
    for name, reason in {
        "--tensor-parallel-size": "spec.hardware.candidates[].parallelism.tensor sets it",
        "data-parallel_size": "data parallelism inside a replica is not offered",
        "model": "spec.model.source names the weights",
    }.items():
        (line,) = (it for it in told.splitlines() if f"spec.engine.args.{name}: " in it)
        assert f"allowed: no value here; {reason}" in line
    assert "Write max_num_seqs." in told
