"""Each rule of the planner, told as a table: what is asked, and what is said to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.plan.builders import (
    CATALOG,
    a_class,
    accelerator,
    ask,
    known,
    made_up,
    the_plan,
    the_refusal,
)

from freehold.api.architecture import ModelDescription
from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.checks import faults_of_model
from freehold.plan.kv_cache import kv_cache_cost
from freehold.plan.plan import NoPlan
from freehold.plan.planner import Option, make_plan
from freehold.plan.weights import stage_layers, weights_per_device

META = "meta-llama/Llama-3.1-405B-Instruct"
SEVENTY = "meta-llama/Llama-3.1-70B-Instruct"
EIGHT = "meta-llama/Llama-3.1-8B-Instruct"
MAVERICK = "meta-llama/Llama-4-Maverick-17B-128E-Instruct"
QWEN_FP8 = "Qwen/Qwen3-235B-A22B-FP8"
DEEPSEEK = "deepseek-ai/DeepSeek-V3"
GIB = 1 << 30


def one_of_each() -> ModelDescription:
    """Return a model with one layer of one head."""
    small = {"layers": 1, "attention_heads": 1, "key_value_heads": 1}
    return known(EIGHT).model_copy(update=small)


REFUSED: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "query heads that tensor parallel does not divide": (
        {"model": MAVERICK, "on": "h100-80gb", "split": (16, 1)},
        "InvalidParallelism",
        ["tensor parallel 16", "40 attention heads", "possible sizes: 1, 2, 4, 5, 8, 10, 20, 40"],
    ),
    "block-quantised experts that it does not divide": (
        {"model": QWEN_FP8, "on": "h200-141gb", "split": (8, 1)},
        "InvalidParallelism",
        ["12 blocks of 128", "1, 2, 3, 4, 6, 12", "engine.args.enable_expert_parallel: true"],
    ),
    "a tensor parallel size that no equal nodes carry": (
        {"model": META, "on": "gb200-186gb", "split": (6, 1)},
        "InvalidParallelism",
        ["tensor parallel 6 is no multiple of the 4 devices of a gb200-186gb node"],
    ),
    "tensor parallel over nodes that no fast network joins": (
        {"model": EIGHT, "on": "l4-24gb", "split": (16, 32)},
        "InvalidParallelism",
        [
            "spec.hardware.candidates[0].parallelism: found tensor 16, pipeline 32",
            "more than the 8 devices of a l4-24gb node",
            "allowed: tensor parallel up to 8",
            "extraResources",
        ],
    ),
    "tensor parallel over nodes of bare cores": (
        {"model": EIGHT, "on": "cpu", "split": (32, 1)},
        "InvalidParallelism",
        ["the 16 devices of a cpu node", "tensor parallel up to 16"],
    ),
    "more nodes than any fast link joins": (
        {"model": META, "on": "h100-80gb", "split": (32, 32)},
        "InvalidParallelism",
        [
            "spec.hardware.candidates[0].parallelism: found tensor 32, pipeline 32",
            "1024 devices over 128 nodes",
            "up to 18 nodes",
        ],
    ),
    "more stages than a single layer": (
        {"model": one_of_each(), "on": "h100-80gb", "split": (1, 2)},
        "InvalidParallelism",
        ["pipeline parallel 2 is more than the model's 1 layer"],
    ),
    "more devices than a single head": (
        {"model": one_of_each(), "on": "h100-80gb", "split": (2, 1)},
        "InvalidParallelism",
        ["the model's 1 attention head;"],
    ),
    "more stages than layers": (
        {"model": EIGHT, "on": "h100-80gb", "split": (1, 40)},
        "InvalidParallelism",
        ["pipeline parallel 40 is more than the model's 32 layers"],
    ),
    "FP8 on a TPU v5e": (
        {"model": "neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8", "on": "tpu-v5e-16gb"},
        "UnsupportedFormat",
        ["tpu-v5e-16gb cannot run fp8 weights", "it runs bf16, int8", "take a checkpoint"],
    ),
    "NVFP4 on an MI300X": (
        {"model": "nvidia/Llama-3.3-70B-Instruct-FP4", "on": "mi300x-192gb"},
        "UnsupportedFormat",
        ["mi300x-192gb cannot run nvfp4 weights"],
    ),
    "an FP8 KV cache on a TPU": (
        {"model": EIGHT, "on": "tpu-v6e-32gb", "kv_cache_dtype": "fp8"},
        "UnsupportedFormat",
        ["tpu-v6e-32gb has no fp8 KV cache", "remove engine.args.kv_cache_dtype"],
    ),
    "405B in 16 bits on one node": (
        {"model": META, "on": "h100-80gb", "split": (8, 1)},
        "DoesNotFit",
        ["weights 94.5 GiB", "71.7 GiB", "set parallelism: {tensor: 8, pipeline: 2}"],
    ),
    "weights that no number of such devices holds": (
        {"model": META, "on": "l4-24gb"},
        "DoesNotFit",
        ["8 x l4-24gb", "20.2 GiB it may use (90% of 22.5 GiB)", "take a smaller checkpoint"],
    ),
    "a context beyond the model's own": (
        {"model": EIGHT, "on": "h100-80gb", "context": 200_000},
        "ContextTooLong",
        ["spec.model.contextLength 200,000", "131,072", "lower it"],
    ),
    "requests longer than the context": (
        {"model": EIGHT, "on": "h100-80gb", "context": 4096, "workload": (4, 4000, 1000)},
        "ContextTooLong",
        ["requests of 5,000 tokens", "context of 4,096", "raise spec.model.contextLength"],
    ),
    "a context that the rest of one small device does not hold": (
        {"model": EIGHT, "on": "a10g-24gb", "context": 131_072, "split": (1, 1)},
        "DoesNotFit",
        ["a context of 131,072 tokens needs 16.0 GiB", "lower spec.model.contextLength to"],
    ),
    "more requests at once than the rest of one device holds": (
        {"model": EIGHT, "on": "l4-24gb", "workload": (64, 900, 100), "split": (1, 1)},
        "DoesNotFit",
        ["64 requests of 1,000 tokens", "lower spec.workload.concurrentRequests to"],
    ),
}


@pytest.mark.parametrize(("asked", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_is_refused_with_the_reason_and_the_cure(
    asked: dict[str, Any], reason: str, words: list[str]
) -> None:
    asked = dict(asked)
    rejection = the_refusal(ask(asked.pop("model"), asked.pop("on"), **asked))
    assert rejection.reason == reason
    for word in words:
        assert word in rejection.message


def test_the_context_that_a_refusal_names_is_the_longest_that_fits() -> None:
    asked = ask(EIGHT, "a10g-24gb", context=131_072, split=(1, 1))
    words = the_refusal(asked).message.partition("contextLength to ")[2]
    longest = int(words.partition(";")[0].replace(",", ""))
    assert the_plan(ask(EIGHT, "a10g-24gb", context=longest, split=(1, 1)))
    the_refusal(ask(EIGHT, "a10g-24gb", context=longest + 16, split=(1, 1)))


def test_the_concurrency_that_a_refusal_names_is_the_most_that_fits() -> None:
    asked = ask(EIGHT, "l4-24gb", workload=(64, 900, 100), split=(1, 1))
    words = the_refusal(asked).message.partition("concurrentRequests to ")[2]
    most = int(words.partition(";")[0])
    assert the_plan(ask(EIGHT, "l4-24gb", workload=(most, 900, 100), split=(1, 1)))
    the_refusal(ask(EIGHT, "l4-24gb", workload=(most + 1, 900, 100), split=(1, 1)))


def test_expert_parallel_lifts_the_rule_about_the_experts_width() -> None:
    plan = the_plan(ask(QWEN_FP8, "h200-141gb", split=(8, 1), expert_parallel=True))
    assert (plan.layout.tensor, plan.layout.pipeline) == (8, 1)


def test_without_a_pinned_split_the_planner_takes_one_that_divides() -> None:
    plan = the_plan(ask(QWEN_FP8, "h200-141gb"))
    assert 12 % plan.layout.tensor == 0


def test_nvfp4_runs_weight_only_where_the_device_cannot_compute_in_it() -> None:
    plan = the_plan(ask("nvidia/Llama-3.3-70B-Instruct-FP4", "h100-80gb"))
    assert plan.layout.devices == 1


@pytest.mark.parametrize(("tensor", "heads"), [(1, 8), (2, 4), (4, 2), (8, 1), (16, 1)])
def test_beyond_as_many_devices_as_kv_heads_the_cache_is_replicated(
    tensor: int, heads: int
) -> None:
    plan = the_plan(ask(META, "h100-80gb", split=(16, 1)))
    cost = kv_cache_cost(plan.model, plan.settings, tensor, 1)
    assert cost.per_token == 2 * 126 * heads * 128 * 2


def test_replicated_heads_and_a_split_across_nodes_are_noted() -> None:
    notes = the_plan(ask(META, "h100-80gb", split=(16, 1))).notes
    assert "8 key/value heads over tensor parallel 16: each is kept twice" in notes
    assert "tensor parallel 16 crosses 2 nodes: only with InfiniBand or EFA" in notes


def test_a_split_across_hosts_of_tpus_needs_no_infiniband() -> None:
    slices = made_up(200 * 1024, (4,), vendor="google")
    notes = the_plan(ask(META, slices, context=8192, split=(8, 1))).notes
    assert "tensor parallel 8 crosses 2 nodes: only with ICI between them" in notes


def test_bare_cores_are_not_advised_to_take_formats_that_they_cannot_compute() -> None:
    message = the_refusal(ask(META, "cpu", split=(1, 1))).message
    assert message.endswith("a smaller model, or a class whose workers have more memory"), message


def test_the_nodes_that_are_noted_are_those_of_one_tensor_parallel_group() -> None:
    plan = the_plan(ask(META, "h100-80gb", split=(16, 2)))
    assert plan.layout.nodes == 4
    assert "tensor parallel 16 crosses 2 nodes: only with InfiniBand or EFA" in plan.notes
    inside = the_plan(ask(META, "h100-80gb", split=(8, 4)))
    assert inside.layout.nodes == 4
    assert not any("crosses" in note for note in inside.notes)


@pytest.mark.parametrize("resource", ["vpc.amazonaws.com/efa", "rdma/hca_shared_devices"])
def test_a_shape_with_an_rdma_device_lets_tensor_parallel_cross_nodes(resource: str) -> None:
    shape = {"name": "n", "provider": "p", "devices": 8, "extraResources": {resource: "1"}}
    mine = a_class("mine", extends="l4-24gb", nodeShapes=[shape])
    device = resolve_class("mine", {**CATALOG.classes, "mine": mine}, "accelerator")
    assert isinstance(device, Accelerator)
    assert the_plan(ask(SEVENTY, device, split=(16, 1))).layout.nodes == 2


def test_another_resource_of_a_shape_is_no_network() -> None:
    extra = {"example.com/default": "1", "hugepages-2Mi": "1Gi"}
    shape = {"name": "n", "provider": "p", "devices": 8, "extraResources": extra}
    mine = a_class("mine", extends="l4-24gb", nodeShapes=[shape])
    device = resolve_class("mine", {**CATALOG.classes, "mine": mine}, "accelerator")
    assert isinstance(device, Accelerator)
    assert the_refusal(ask(SEVENTY, device, split=(16, 1))).reason == "InvalidParallelism"


def test_pipelines_may_go_over_nodes_that_no_fast_network_joins() -> None:
    assert the_plan(ask(SEVENTY, "l4-24gb", split=(8, 2))).layout.nodes == 2


def test_a_rack_that_one_link_joins_may_be_pinned_whole() -> None:
    assert the_plan(ask(DEEPSEEK, "gb200-186gb", split=(4, 18))).layout.nodes == 18
    assert "over 19 nodes" in the_refusal(ask(DEEPSEEK, "gb200-186gb", split=(4, 19))).message


def test_a_refused_split_is_named_by_its_place_among_the_candidates() -> None:
    question = ask(META, "h100-80gb", split=(32, 32))
    (pinned,) = question.options
    options = (Option("first", accelerator("l4-24gb")), pinned)
    answer = make_plan(replace(question, options=options))
    assert isinstance(answer, NoPlan)
    assert "spec.hardware.candidates[1].parallelism" in answer.rejected[1].message


def test_what_no_nodes_carry_is_a_fault_of_the_manifest() -> None:
    names = ["h100-80gb", "l4-24gb"]
    splits = [{"tensor": 16}, {"tensor": 16, "pipeline": 32}]
    candidates = [
        {"name": f"c{i}", "accelerator": name, "parallelism": split}
        for i, (name, split) in enumerate(zip(names, splits, strict=True))
    ]
    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "m"},
        "spec": {"model": {"source": f"hf://{META}"}, "hardware": {"candidates": candidates}},
    }
    model = ModelDeployment.model_validate_json(json.dumps(data))
    (fault,) = faults_of_model(model, CATALOG.classes)
    assert fault.path == "spec.hardware.candidates[1].parallelism"
    assert fault.found.startswith("tensor 16, pipeline 32")


def test_a_cache_beyond_counting_is_told_as_far_as_the_status_can() -> None:
    mine = a_class("mine", extends="h100-80gb", memory="999999999999Ti")
    device = resolve_class("mine", {**CATALOG.classes, "mine": mine}, "accelerator")
    assert isinstance(device, Accelerator)
    assert the_plan(ask(EIGHT, device)).kv_cache_tokens == 2**31 - 1


def test_grouped_query_attention_costs_what_the_engine_logged() -> None:
    # vLLM's log for Qwen3-Coder-480B: 262144 tokens need 62.00 GiB
    model = known("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8")
    cost = kv_cache_cost(model, ask(model, "h20-96gb").settings, 1, 1)
    assert cost.bytes_for(1, 262_144) == 62 * GIB


def test_latent_attention_is_not_divided_by_tensor_parallel() -> None:
    model = known(DEEPSEEK)
    settings = ask(model, "h200-141gb").settings
    costs = [kv_cache_cost(model, settings, tensor, 1).per_token for tensor in (1, 2, 8, 16)]
    assert costs == [61 * (512 + 64) * 2] * 4
    assert kv_cache_cost(model, settings, 8, 2).per_token == 31 * (512 + 64) * 2


def test_windowed_layers_stop_growing_with_the_context() -> None:
    model = known("openai/gpt-oss-120b")  # 18 of 36 layers see 128 tokens
    cost = kv_cache_cost(model, ask(model, "h100-80gb", batched_tokens=1024).settings, 1, 1)
    token = 18 * 2 * 8 * 64 * 2
    assert cost.bytes_for(1, 100) == 2 * token * 100
    assert cost.bytes_for(1, 131_072) == token * (131_072 + 128 + 1024)


def test_an_eight_bit_cache_holds_twice_as_much() -> None:
    sixteen = the_plan(ask(EIGHT, "l4-24gb", split=(1, 1)))
    eight = the_plan(ask(EIGHT, "l4-24gb", split=(1, 1), kv_cache_dtype="fp8"))
    assert eight.memory.kv_cache == sixteen.memory.kv_cache
    # both are rounded down to whole blocks of 16 tokens
    assert abs(eight.context_length - 2 * sixteen.context_length) <= 32


@pytest.mark.parametrize(
    ("layers", "pipeline", "stages"),
    [
        (126, 2, [63, 63]),
        (61, 2, [31, 30]),
        (61, 4, [15, 15, 16, 15]),
        (62, 4, [15, 16, 16, 15]),
        (63, 4, [16, 16, 16, 15]),
        (10, 8, [1, 1, 1, 1, 1, 2, 2, 1]),
        (5, 1, [5]),
    ],
)
def test_stages_are_as_vllm_deals_layers_out(layers: int, pipeline: int, stages: list[int]) -> None:
    assert stage_layers(layers, pipeline) == stages


def test_the_fullest_stage_holds_an_embedding_too() -> None:
    model = known(META)
    embedding = 128_256 * 16_384 * 2
    size = int(model.checkpoint.size)
    expected = (63 / 126 * (size - 2 * embedding) + embedding) / 8
    assert weights_per_device(model, 8, 2) == pytest.approx(expected)
    assert weights_per_device(model, 8, 1) == size / 8


def test_a_fast_link_prefers_tensor_and_pcie_prefers_pipeline_parallel() -> None:
    fast, slow = the_plan(ask(SEVENTY, "h100-80gb")), the_plan(ask(SEVENTY, "l40s-48gb"))
    assert fast.layout.pipeline == 1
    assert fast.layout.tensor > 1
    assert slow.layout.tensor == 1
    assert slow.layout.pipeline > 1


def test_several_nodes_are_planned_only_over_a_fast_link() -> None:
    plan = the_plan(ask(META, "h100-80gb"))
    assert str(plan.layout) == "tensor 8, pipeline 2, 2 nodes"
    the_refusal(ask(META, "l4-24gb"))


def test_the_default_context_is_capped_to_what_fits_and_said() -> None:
    plan = the_plan(ask(EIGHT, "l4-24gb", split=(1, 1)))
    assert plan.context_capped
    assert plan.context_length < plan.model.max_context_length
    assert plan.context_length % 16 == 0
    assert any(f"context length capped to {plan.context_length:,}" in note for note in plan.notes)
    the_refusal(ask(EIGHT, "l4-24gb", context=plan.context_length + 16, split=(1, 1)))


def test_the_default_context_is_the_models_own_where_that_fits() -> None:
    plan = the_plan(ask(EIGHT, "h100-80gb"))
    assert (plan.context_length, plan.context_capped, plan.notes) == (131_072, False, ())


def test_memory_utilization_is_honoured() -> None:
    plan = the_plan(ask(EIGHT, "h100-80gb", memory_utilization=0.5))
    assert plan.memory.usable == plan.memory.total * 0.5
    the_refusal(ask(EIGHT, "h100-80gb", memory_utilization=0.2, split=(1, 1)))


def test_max_num_seqs_is_honoured_and_a_shortfall_is_said() -> None:
    plan = the_plan(ask(EIGHT, "h100-80gb", workload=(64, 900, 100), max_num_seqs=16))
    assert plan.max_num_seqs == 16
    assert any("48 of them would wait" in note for note in plan.notes)


def test_the_workloads_concurrency_becomes_max_num_seqs() -> None:
    assert the_plan(ask(EIGHT, "h100-80gb", workload=(64, 900, 100))).max_num_seqs == 64


def test_bare_cores_take_only_the_cache_that_is_asked_for() -> None:
    model = "google/gemma-3-270m"
    plan = the_plan(ask(model, "cpu", context=2048, workload=(16, 64, 64), split=(2, 1)))
    cost = kv_cache_cost(plan.model, plan.settings, 2, 1)
    assert plan.memory.kv_cache == max(cost.bytes_for(1, 2048), cost.bytes_for(16, 2048))
    assert plan.memory.kv_cache < plan.memory.left_for_kv_cache


def test_a_class_of_the_users_own_is_planned_with_its_own_memory() -> None:
    mine = a_class("mine", extends="l4-24gb", memory="80Gi")
    device = resolve_class("mine", {**CATALOG.classes, "mine": mine}, "accelerator")
    assert isinstance(device, Accelerator)
    plan = the_plan(ask(EIGHT, device, context=131_072))
    assert plan.memory.total == 80 * GIB
    assert plan.accelerator.features == accelerator("l4-24gb").features
