"""Published deployments are the planner's oracle: what runs is accepted, what cannot is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from freehold.api.modeldeployment import Parallelism
from freehold.catalog.builtin import builtin_catalog
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.engine_settings import EngineSettings
from freehold.plan.plan import NoPlan, Plan
from freehold.plan.planner import Option, Question, make_plan

DATA = Path(__file__).parents[2] / "data"
ROWS = [DATA / "model_fits.csv", DATA / "published_rows_more.csv"]

# The table names models as their publishers do; here is the checkpoint that each row means.
REPOSITORIES = {
    ("Llama-3.1-405B-Instruct-FP8 (Meta FBGEMM)", "fp8"): "meta-llama/Llama-3.1-405B-Instruct-FP8",
    ("Llama-3.1-405B-Instruct", "bf16"): "meta-llama/Llama-3.1-405B-Instruct",
    ("Llama-3.1-405B-Instruct-FP8 (neuralmagic)", "fp8"): (
        "neuralmagic/Meta-Llama-3.1-405B-Instruct-FP8"
    ),
    # published without naming the vendor of the checkpoint: Meta's, the larger one
    ("Llama-3.1-405B-Instruct-FP8", "fp8"): "meta-llama/Llama-3.1-405B-Instruct-FP8",
    ("nvidia/Llama-3.1-405B-Instruct-FP8", "fp8"): "nvidia/Llama-3.1-405B-Instruct-FP8",
    ("nvidia/Llama-3.1-405B-Instruct-FP4", "nvfp4"): "nvidia/Llama-3.1-405B-Instruct-FP4",
    ("Llama-3.1-70B-Instruct-FP8", "fp8"): "neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8",
    ("Llama-3.1-70B-Instruct", "bf16"): "meta-llama/Llama-3.1-70B-Instruct",
    ("nvidia/Llama-3.3-70B-Instruct-FP8", "fp8"): "nvidia/Llama-3.3-70B-Instruct-FP8",
    ("nvidia/Llama-3.3-70B-Instruct-NVFP4", "nvfp4"): "nvidia/Llama-3.3-70B-Instruct-FP4",
    ("Llama-3.3-70B-Instruct", "bf16"): "meta-llama/Llama-3.3-70B-Instruct",
    ("Llama-3.1-8B-Instruct", "bf16"): "meta-llama/Llama-3.1-8B-Instruct",
    ("Llama-3-8B-Instruct", "bf16"): "meta-llama/Meta-Llama-3-8B-Instruct",
    ("Llama-4-Maverick-17B-128E-Instruct-FP8", "fp8"): (
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8"
    ),
    ("Qwen3-235B-A22B-FP8", "fp8"): "Qwen/Qwen3-235B-A22B-FP8",
    ("DeepSeek-V3 / R1", "fp8"): "deepseek-ai/DeepSeek-V3",
    ("DeepSeek-V3", "fp8"): "deepseek-ai/DeepSeek-V3",
    ("nvidia/DeepSeek-V3-FP4", "nvfp4"): "nvidia/DeepSeek-V3-0324-FP4",
    ("openai/gpt-oss-120b", "mxfp4"): "openai/gpt-oss-120b",
    ("Kimi-K2-Instruct", "fp8"): "moonshotai/Kimi-K2-Instruct",
    ("Qwen3-Coder-480B-A35B-Instruct-FP8", "fp8"): "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
    ("amd/Llama-3.1-405B-Instruct-FP8-KV", "fp8"): "amd/Llama-3.1-405B-Instruct-FP8-KV",
    ("amd/Llama-3.1-70B-Instruct-FP8-KV", "fp8"): "amd/Llama-3.1-70B-Instruct-FP8-KV",
    ("Llama-3.3-70B-Instruct-FP8-dynamic", "fp8"): "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
    ("Llama-3.1-8B-Instruct-FP8", "fp8"): "neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8",
    ("Llama-Guard-3-8B", "bf16"): "meta-llama/Llama-Guard-3-8B",
    ("Llama-4-Maverick-17B-128E-Instruct", "bf16"): "meta-llama/Llama-4-Maverick-17B-128E-Instruct",
    ("Llama-4-Scout-17B-16E-Instruct", "bf16"): "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    ("Llama-4-Scout-17B-16E-Instruct-FP8", "fp8"): "nvidia/Llama-4-Scout-17B-16E-Instruct-FP8",
    ("Qwen3-235B-A22B", "bf16"): "Qwen/Qwen3-235B-A22B",
    ("DeepSeek-R1", "fp8"): "deepseek-ai/DeepSeek-R1",
    ("Mistral-Small-24B", "bf16"): "mistralai/Mistral-Small-24B-Instruct-2501",
    ("Mistral-Large-3-675B", "fp8"): "mistralai/Mistral-Large-3-675B-Instruct-2512",
    ("Mistral-Large-3-675B", "nvfp4"): "mistralai/Mistral-Large-3-675B-Instruct-2512-NVFP4",
}
HARDWARE = {
    "H100-80": ["h100-80gb"],
    "A100-80": ["a100-80gb"],
    "H100-80 + InfiniBand": ["h100-80gb"],
    "MI300X": ["mi300x-192gb"],
    "MI300X/MI325X": ["mi300x-192gb", "mi325x-256gb"],
    "MI300X/MI325X/MI355X": ["mi300x-192gb", "mi325x-256gb", "mi355x-288gb"],
    "MI355X": ["mi355x-288gb"],
    "GB200": ["gb200-186gb"],
    "80 GB": ["h100-80gb", "a100-80gb"],
    "8-GPU node": ["h100-80gb", "a100-80gb"],
    "H200": ["h200-141gb"],
    "H100/H200": ["h100-80gb", "h200-141gb"],
    "H100/H200/B200": ["h100-80gb", "h200-141gb", "b200-180gb"],
    "H800/H200": ["h800-80gb", "h200-141gb"],
    "B200": ["b200-180gb"],
    "RTX PRO 6000 BSE 96GB": ["rtx-pro-6000-96gb"],
    "L4": ["l4-24gb"],
    "GH200-96": ["gh200-96gb"],
    "TPU v6e-8": ["tpu-v6e-32gb"],
    "TPU v6e-1": ["tpu-v6e-32gb"],
    "TPU v5e 2x2": ["tpu-v5e-16gb"],
    "A10G-24": ["a10g-24gb"],
    "H20-96": ["h20-96gb"],
}
# Rows whose replica is more than tensor x pipeline: the rest is data parallelism, which here is a
# matter of replicas and not of a plan.
DATA_PARALLEL = {"Qwen3-Coder-480B-A35B-Instruct-FP8"}


def rows() -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for path in ROWS:
        with path.open(newline="", encoding="utf-8") as file:
            found += csv.DictReader(line for line in file if not line.startswith("#"))
    return found


def cases(verdict: str) -> list[pytest.ParameterSet]:  # type: ignore[name-defined]
    found = []
    for row in rows():
        if row["verdict"] != verdict or row["model"] in DATA_PARALLEL:
            continue
        for name in HARDWARE[row["hardware"]]:
            words = f"{row['model']} {row['precision']} on {row['gpus_total']} x {name}"
            found.append(pytest.param(row, name, id=words))
    return found


def accelerator(name: str) -> Accelerator:
    found = resolve_class(name, builtin_catalog().classes, "accelerator")
    assert isinstance(found, Accelerator), found
    return found


def question(row: dict[str, str], name: str) -> Question:
    known = builtin_catalog().model(REPOSITORIES[row["model"], row["precision"]])
    assert known is not None, row["model"]
    # an 8-bit cache that only another engine has is asked for by vLLM's name for it
    settings = EngineSettings(
        memory_utilization=float(row["gpu_memory_utilization"] or 0.9),
        kv_cache_dtype=row["kv_cache_dtype"],
    )
    context = row["max_context"]
    return Question(
        model=known.description,
        settings=settings,
        context=int(context) if context.isdigit() else None,
        workload=None,
        options=(
            Option(
                "only",
                accelerator(name),
                parallelism=Parallelism(tensor=int(row["tp"]), pipeline=int(row["pp"])),
            ),
        ),
    )


@pytest.mark.parametrize(("row", "name"), cases("fits"))
def test_a_published_deployment_is_accepted_with_its_parallelism(
    row: dict[str, str], name: str
) -> None:
    plan = make_plan(question(row, name))
    assert isinstance(plan, Plan), plan.rejected[0].message
    assert plan.layout.nodes == int(row["nodes"])
    assert plan.layout.devices == int(row["gpus_total"])


@pytest.mark.parametrize(("row", "name"), cases("refuse"))
def test_an_impossible_deployment_is_refused_with_what_would_fit(
    row: dict[str, str], name: str
) -> None:
    answer = make_plan(question(row, name))
    assert isinstance(answer, NoPlan)
    message = answer.rejected[0].message
    assert "weights" in message
    assert "would fit: set parallelism" in message


def test_the_rows_out_of_scope_are_those_with_data_parallelism() -> None:
    out = {r["model"] for r in rows() if int(r["tp"]) * int(r["pp"]) != int(r["gpus_total"])}
    assert out == DATA_PARALLEL
