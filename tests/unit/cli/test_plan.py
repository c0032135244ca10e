"""``freehold plan``: what people see, what programs read, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.cli.command_line import ROOT, example, freehold, manifest, program

from freehold.api.status import PlanStatus
from freehold.catalog.builtin import builtin_catalog
from freehold.cli.memory_bar import WIDTH, bar, legend
from freehold.cli.output import parameter_count, parameters
from freehold.plan.device_memory import DeviceMemory

GIB = 1 << 30
BIG = example("llama-3.1-405b")


def status(*args: str) -> PlanStatus:
    result = freehold("plan", *args, "-o", "json")
    assert result.exit_code == 0, result.output
    return PlanStatus.model_validate_json(result.stdout, by_alias=True, by_name=False)


def test_the_plan_is_told_in_words_and_figures() -> None:
    result = freehold("plan", BIG)
    assert (result.exit_code, result.stderr) == (0, "")
    for words in (
        "406B parameters, 756.0 GiB of weights in bf16",
        "built-in catalogue",
        "h100: 16 x h100-80gb over 2 nodes: tensor 8, pipeline 2\n",
        "# weights 47.2  + overhead 4.2  = KV cache 20.2  . kept free 8.0  GiB",
        "65,536 tokens as asked; the model can 131,072",
        "32 requests at once (max_num_seqs)",
        "USD an hour for a replica: 16 x ",
        "on demand, list price",
        "l4      DoesNotFit  8 x l4-24gb (tensor 1, pipeline 8): weights 95.0 GiB",
        "a100    NotChosen   16 x a100-80gb",
    ):
        assert words in result.stdout
    assert len(result.stdout.splitlines()) <= 24


def test_one_screen_is_enough_without_candidates_and_the_rest_is_counted() -> None:
    text = freehold("plan", manifest("any-class")).stdout
    assert len(text.splitlines()) <= 24
    assert "and 12 more: --all shows every class\n" in text


def test_all_shows_every_class_cheapest_first() -> None:
    text = freehold("plan", manifest("any-class"), "--all").stdout
    table = text.partition("Every class of the catalogue, on demand, cheapest first\n")[2]
    names = [line.split()[0] for line in table.splitlines()]
    assert sorted(names) == sorted(set(builtin_catalog().classes) - {"cpu"})
    prices = [float(line.split()[1]) for line in table.splitlines() if "USD/h" in line]
    assert prices == sorted(prices)
    assert len(prices) > 5


def test_each_class_that_is_asked_for_is_shown_apart() -> None:
    result = freehold("plan", BIG, "--accelerator", "h100-80gb", "--accelerator", "l4-24gb")
    assert result.exit_code == 0
    assert "\n16 x h100-80gb over 2 nodes: tensor 8, pipeline 2\n" in result.stdout
    assert "\nl4-24gb: DoesNotFit\n" in result.stdout
    assert "| 20.2 GiB is what the engine may use" in result.stdout
    assert "h200" not in result.stdout


def test_an_unknown_class_is_a_wrong_command_line() -> None:
    result = freehold("plan", BIG, "--accelerator", "h100")
    assert result.exit_code == 2
    assert "unknown accelerator class 'h100'" in result.stderr
    assert "Did you mean h100-80gb" in result.stderr


def test_where_nothing_fits_every_candidate_says_why() -> None:
    result = freehold("plan", manifest("impossible"))
    assert result.exit_code == 3
    assert result.stderr == "error: no candidate carries impossible\n"
    assert "No candidate carries impossible.\n" in result.stdout
    small, other, pinned = (result.stdout.index(f"\n{n}: ") for n in ("small", "other", "pinned"))
    assert small < other < pinned
    assert result.stdout.count(" GiB is what the engine may use") == 2
    assert "pinned: InvalidParallelism" in result.stdout
    assert "tensor parallel 3 does not divide" in result.stdout


def test_a_wrong_manifest_ends_with_2_and_its_lines() -> None:
    file = manifest("typos")
    result = freehold("plan", file)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"{file}:10: spec.hardware.candidates[0].accelerator: found ")


def test_a_manifest_without_a_model_says_so(tmp_path: Any) -> None:
    file = tmp_path / "class.yaml"
    with open(manifest("own-class"), encoding="utf-8") as whole:
        file.write_text(whole.read().split("---")[0])
    result = freehold("plan", str(file))
    assert result.exit_code == 2
    assert "found no ModelDeployment" in result.stderr


def test_a_source_that_cannot_be_read_names_the_line_and_the_field(tmp_path: Any) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(
        "apiVersion: freehold.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: m}\n"
        "spec:\n  model:\n    source: pvc://weights/m\n"
    )
    result = freehold("plan", str(file))
    assert result.exit_code == 5
    assert result.stderr.startswith(f"{file}:6: spec.model.source: found a pvc:// source")


def test_a_class_in_the_file_is_used_with_its_price() -> None:
    found = status(manifest("own-class"))
    assert (found.candidate, found.accelerator) == ("mine", "cellar")
    assert found.hourly_cost is not None
    assert (found.hourly_cost.amount, found.hourly_cost.currency) == ("0.25", "EUR")


def test_json_is_the_plan_of_the_status() -> None:
    found = status(BIG)
    assert (found.candidate, found.accelerator) == ("h100", "h100-80gb")
    assert (found.tensor, found.pipeline, found.nodes) == (8, 2, 2)
    assert found.weights_per_device == "48382Mi"
    assert found.context_length == 65_536
    assert found.rejected is not None
    assert [item.candidate for item in found.rejected] == ["a100", "h200", "l4", "mi300x"]


def test_at_most_eight_rejections_are_kept_and_those_that_do_not_fit_first() -> None:
    rejected = status(manifest("any-class")).rejected
    assert rejected is not None
    names = [item.candidate for item in rejected]
    assert len(names) == 8
    assert names == sorted(names)
    text = freehold("plan", manifest("any-class"), "--all").stdout
    unfit = {line.split()[0] for line in text.splitlines() if "DoesNotFit: " in line}
    assert unfit
    assert unfit <= set(names)


def test_yaml_says_the_same_as_json() -> None:
    text = freehold("plan", BIG, "-o", "yaml").stdout
    assert yaml.safe_load(text) == status(BIG).to_dict()


def test_several_models_are_a_list_and_none_is_left_out() -> None:
    result = freehold("plan", manifest("own-class"), manifest("impossible"), "-o", "json")
    assert result.exit_code == 3
    first, second = json.loads(result.stdout)
    assert first["candidate"] == "mine"
    assert second is None
    assert result.stderr == "error: no candidate carries impossible\n"


def test_the_same_command_prints_the_same_bytes() -> None:
    assert program("plan", BIG).stdout == program("plan", BIG, PYTHONHASHSEED="7").stdout


def test_piped_output_is_plain_and_whole_lines() -> None:
    done = program("plan", BIG, COLUMNS="40", FORCE_COLOR="", TERM="xterm-256color")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) > 150
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("name", "code"), [("own-class", 0), ("typos", 2), ("unknown-names", 2), ("impossible", 3)]
)
def test_the_program_ends_with_its_exit_code(name: str, code: int) -> None:
    done = program("plan", manifest(name))
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def on_a_terminal(columns: int, **environment: str) -> str:
    """Return what ``freehold plan`` writes to a terminal of so many columns."""
    leader, follower = pty.openpty()
    base = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "CI")}
    process = subprocess.Popen(
        [sys.executable, "-c", "from freehold.cli.main import main; main()", "plan", BIG],
        stdout=follower,
        cwd=ROOT,
        env={
            **base,
            "PYTHONPATH": str(ROOT / "operator"),
            "COLUMNS": str(columns),
            "TERM": "xterm-256color",
            "PYTHONIOENCODING": "utf-8",
            **environment,
        },
    )
    os.close(follower)
    written = b""
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:
            break
        if not piece:
            break
        written += piece
    os.close(leader)
    assert process.wait(timeout=60) == 0
    return written.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_blocks_and_wrapped_lines() -> None:
    text = on_a_terminal(90)
    assert "\x1b[" in text
    assert "█" in text
    plain = on_a_terminal(90, NO_COLOR="1")
    assert max(len(line) for line in plain.splitlines()) <= 90


def test_no_color_leaves_no_escape_and_fills_that_differ() -> None:
    text = on_a_terminal(100, NO_COLOR="1")
    assert "\x1b" not in text
    for fill, name in zip("█▓▒░", ["weights", "overhead", "KV cache", "kept free"], strict=True):
        assert f"{fill} {name} " in text
        assert fill * 2 in text


def memory(weights: float, overhead: float, total: float = 80.0) -> DeviceMemory:
    usable = total * 0.9
    cache = max(0.0, usable - weights - overhead)
    return DeviceMemory(*(x * GIB for x in (total, usable, weights, overhead, cache)))


@pytest.mark.parametrize("weights", [0.01, 1, 15, 47.2, 60, 69.6])
def test_a_bar_is_as_wide_as_every_other_and_leaves_nothing_out(weights: float) -> None:
    held = memory(weights, 2.3)
    text = bar(held, shaded=False).plain
    assert len(text) == WIDTH
    assert set(text) == set("#+=.")
    assert text == "".join(sorted(text, key="#+=.".index))
    assert text.count("#") == pytest.approx(WIDTH * weights / 80, abs=3)
    assert f"# weights {weights:.1f}" in legend(held, shaded=False).plain


def test_a_bar_of_too_much_shows_the_limit_where_it_is() -> None:
    text = bar(memory(140, 10), shaded=True).plain
    assert text.index("|") == round(WIDTH * 72 / 150)
    assert set(text) == set("█▓|")


@pytest.mark.parametrize(
    ("repository", "count"),
    [
        ("meta-llama/Llama-3.1-405B-Instruct", "406B"),
        ("meta-llama/Llama-3.1-405B-Instruct-FP8", "406B"),
        ("meta-llama/Llama-3.1-8B-Instruct", "8.03B"),
        ("deepseek-ai/DeepSeek-V3", "671B"),
        ("openai/gpt-oss-120b", "117B"),
        ("Qwen/Qwen3-235B-A22B", "235B"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "108B"),
        ("google/gemma-3-270m", "268M"),
    ],
)
def test_parameters_are_counted_as_their_makers_count_them(repository: str, count: str) -> None:
    known = builtin_catalog().model(repository)
    assert known is not None
    assert parameters(parameter_count(known.description)) == count


def test_a_class_of_the_command_line_is_held_against_the_arguments(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(
        "apiVersion: freehold.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: m}\n"
        "spec:\n  model: {source: hf://meta-llama/Llama-3.2-1B, contextLength: 2048}\n"
        "  engine: {args: {dtype: float16}}\n"
    )
    assert freehold("plan", str(file), "--accelerator", "l4-24gb").exit_code == 0
    result = freehold("plan", str(file), "--accelerator", "cpu")
    assert result.exit_code == 2
    assert f"{file}:6: spec.engine.args.dtype: found 'float16'" in result.stderr
