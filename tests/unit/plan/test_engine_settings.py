"""Engine arguments that the plan keeps for itself, counts, or cannot count."""

from __future__ import annotations

import importlib.resources
import json
import re
from typing import Any

import pytest
from tests.unit.plan.builders import CATALOG, ask, known, the_plan, the_refusal

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.engine_settings import OWNED_BY_PLAN, read_engine_settings
from freehold.plan.planner import Question
from freehold.plan.resolve import resolve

EIGHT = "meta-llama/Llama-3.1-8B-Instruct"
# Arguments whose names speak of parallel work, but which split no model over devices or nodes.
NO_SPLIT = {
    "enable_expert_parallel": "deals experts over the devices that there are; the plan reads it",
    "max_parallel_loading_workers": "is about reading files",
    "max_lora_rank": "is the rank of a matrix",
}


def known_to_the_engine() -> list[str]:
    file = importlib.resources.files("freehold.render") / "data" / "vllm_engine_args.json"
    return sorted(json.loads(file.read_text("utf-8"))["properties"])


def resolved(
    args: dict[str, Any], classes: tuple[str, ...] = ("h100-80gb",), **spec: Any
) -> Question | tuple[Fault, ...]:
    candidates = [{"name": name, "accelerator": name} for name in classes]
    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "m"},
        "spec": {
            "model": {"source": f"hf://{EIGHT}"},
            "hardware": {"candidates": candidates},
            "engine": {"args": args},
            **spec,
        },
    }
    model = ModelDeployment.model_validate_json(json.dumps(data))
    return resolve(model, known(EIGHT), CATALOG.classes)


def the_fault(found: object) -> Fault:
    assert isinstance(found, tuple), found
    (fault,) = found
    assert isinstance(fault, Fault)
    return fault


def a_workload(requests: int) -> dict[str, int]:
    return {"concurrentRequests": requests, "promptTokens": 8, "outputTokens": 8}


def test_every_argument_that_splits_a_model_is_the_plans() -> None:
    splits = re.compile(r"parallel|^node|nnodes|rank|master_")
    found = {name for name in known_to_the_engine() if splits.search(name)}
    assert found - {*OWNED_BY_PLAN} == {*NO_SPLIT}


def test_the_plan_owns_only_what_the_engine_knows() -> None:
    # the model's two names are in another part of the schema
    assert {*OWNED_BY_PLAN} - {*known_to_the_engine()} == {"model", "served_model_name"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tensor_parallel_size", "spec.hardware.candidates[].parallelism.tensor"),
        ("data_parallel_rank", "spec.replicas"),
        ("decode_context_parallel_size", "not offered; spec.hardware.candidates[].parallelism"),
        ("nnodes", "spec.hardware.candidates[].parallelism.pipeline"),
        ("master_addr", "Freehold places the workers"),
        ("kv_cache_memory_bytes", "the planner sizes the KV cache; spec.workload"),
        ("num_gpu_blocks_override", "the planner sizes the KV cache"),
        ("hf_overrides", "config.json"),
        ("hf_config_path", "config.json"),
        ("mm_ipc_gpu_memory_gb", "is not counted"),
        ("distributed_executor_backend", "Freehold sets it"),
    ],
)
def test_it_is_said_what_to_do_instead(name: str, told: str) -> None:
    fault = the_fault(read_engine_settings({name: 2})[1])
    assert told in fault.allowed
    assert "nothing" not in str(fault)


@pytest.mark.parametrize("dtype", ["float32", "float"])
def test_32_bits_are_refused_since_16_are_counted(dtype: str) -> None:
    fault = the_fault(read_engine_settings({"dtype": dtype})[1])
    assert fault.path == "spec.engine.args.dtype"
    assert "counts 16 bits" in fault.allowed


@pytest.mark.parametrize("dtype", ["auto", "half", "float16", "bfloat16"])
def test_formats_of_16_bits_are_taken_on_an_accelerator(dtype: str) -> None:
    question = resolved({"dtype": dtype})
    assert isinstance(question, Question)
    assert question.settings.dtype == dtype
    plan = the_plan(question)
    assert f"engine.args.dtype is honoured: {dtype}" in plan.notes


@pytest.mark.parametrize(("name", "value"), [("dtype", "float16"), ("enforce_eager", False)])
@pytest.mark.parametrize("classes", [("cpu",), ("h100-80gb", "cpu")])
def test_workers_on_bare_cores_take_no_other_value_than_freeholds(
    name: str, value: object, classes: tuple[str, ...]
) -> None:
    fault = the_fault(resolved({name: value}, classes))
    assert fault.path == f"spec.engine.args.{name}"
    assert "which Freehold sets for workers of the class cpu" in fault.allowed
    assert isinstance(resolved({name: value}), Question)


def test_the_same_value_as_freeholds_is_no_contradiction() -> None:
    assert isinstance(resolved({"dtype": "bfloat16", "enforce_eager": True}, ("cpu",)), Question)


def test_a_draft_model_is_refused_where_it_stands() -> None:
    config = {"method": "eagle3", "model": "some/draft", "num_speculative_tokens": 3}
    fault = the_fault(read_engine_settings({"speculative_config": config})[1])
    assert fault.path == "spec.engine.args.speculative_config.model"
    assert fault.found == "'some/draft'"
    assert "not counted" in fault.allowed
    assert "ngram" in fault.hint


@pytest.mark.parametrize("config", [None, {"method": "ngram"}, {"method": "mtp", "model": None}])
def test_speculation_without_a_model_of_its_own_is_taken(config: object) -> None:
    assert read_engine_settings({"speculative_config": config})[1] == ()


def test_experts_that_are_kept_twice_are_refused_where_they_stand() -> None:
    fault = the_fault(read_engine_settings({"eplb_config": {"num_redundant_experts": 8}})[1])
    assert fault.path == "spec.engine.args.eplb_config.num_redundant_experts"
    assert "not counted" in fault.allowed
    for config in ({"num_redundant_experts": 0}, {"window_size": 100}, None):
        assert read_engine_settings({"eplb_config": config})[1] == ()


def test_layers_whose_cache_stays_unquantized_are_counted_at_16_bits() -> None:
    args = {"kv_cache_dtype": "fp8"}
    question = resolved({**args, "kv_cache_dtype_skip_layers": ["0", "sliding_window"]})
    assert isinstance(question, Question)
    assert question.settings.kv_bytes == 2
    said = "engine.args.kv_cache_dtype_skip_layers is honoured: 0, sliding_window"
    assert said in the_plan(question).notes
    none = resolved({**args, "kv_cache_dtype_skip_layers": []})
    assert isinstance(none, Question)
    assert none.settings.kv_bytes == 1


def test_windows_that_are_kept_whole_are_counted_whole() -> None:
    def held(**settings: bool) -> int:
        question = ask("google/gemma-3-27b-it", "h200-141gb", context=65536, **settings)
        return the_plan(question).kv_cache_tokens

    assert held(windows_kept_whole=True) < 0.5 * held()
    settings, faults = read_engine_settings({"disable_hybrid_kv_cache_manager": True})
    assert settings.windows_kept_whole
    assert faults == ()


def test_a_plan_says_that_adapters_are_not_counted() -> None:
    for enabled in (True, False):
        question = resolved({"enable_lora": enabled})
        assert isinstance(question, Question)
        said = [note for note in the_plan(question).notes if "enable_lora" in note]
        assert len(said) == enabled
        assert all("not counted" in note for note in said)


def test_a_step_holds_a_token_of_each_sequence_that_is_asked_for() -> None:
    args = {"max_num_batched_tokens": 64, "max_num_seqs": 65}
    fault = the_fault(read_engine_settings(args)[1])
    assert fault.path == "spec.engine.args.max_num_batched_tokens"
    assert fault.found == "64"
    assert fault.allowed.startswith("at least 65 (spec.engine.args.max_num_seqs)")
    assert read_engine_settings({**args, "max_num_seqs": 64})[1] == ()


def test_a_step_holds_a_token_of_each_request_of_the_workload() -> None:
    args = {"max_num_batched_tokens": 64}
    fault = the_fault(resolved(args, workload=a_workload(65)))
    assert fault.path == "spec.engine.args.max_num_batched_tokens"
    assert "at least 65 (spec.workload.concurrentRequests)" in fault.allowed
    assert isinstance(resolved(args, workload=a_workload(64)), Question)
    # what the user wrote is what runs at once, whatever the workload
    assert isinstance(resolved({**args, "max_num_seqs": 64}, workload=a_workload(65)), Question)


def test_a_step_holds_a_token_of_each_sequence_that_the_planner_may_choose() -> None:
    fault = the_fault(resolved({"max_num_batched_tokens": 255}))
    assert fault.allowed.startswith("at least 256 (")
    assert "max_num_seqs" in fault.allowed
    question = resolved({"max_num_batched_tokens": 256})
    assert isinstance(question, Question)
    assert the_plan(question).max_num_seqs <= 256


def test_more_sequences_than_any_default_step_holds_need_a_step_beside_them() -> None:
    fault = the_fault(read_engine_settings({"max_num_seqs": 16385})[1])
    assert fault.path == "spec.engine.args.max_num_seqs"
    assert "spec.engine.args.max_num_batched_tokens of at least 16385" in fault.allowed
    fault = the_fault(resolved({}, workload=a_workload(16385)))
    assert fault.path == "spec.workload.concurrentRequests"
    both = {"max_num_seqs": 16385, "max_num_batched_tokens": 16385}
    assert read_engine_settings(both)[1] == ()


def test_counts_as_helm_writes_them_are_whole_numbers() -> None:
    args = {"max_num_batched_tokens": 1e6, "max_num_seqs": 64.0}
    settings, faults = read_engine_settings(args)
    assert faults == ()
    assert (settings.batched_tokens, settings.max_num_seqs) == (1000000, 64)
    assert isinstance(settings.batched_tokens, int)
    assert isinstance(settings.max_num_seqs, int)


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_a_low_share_of_memory_is_the_first_thing_to_raise(share: float) -> None:
    # the first too little for the weights, the second for the context
    question = ask(EIGHT, "h100-80gb", context=131072, split=(1, 1), memory_utilization=share)
    message = the_refusal(question).message
    cures = message.split("; ")[1:]
    assert (
        cures[0] == f"raise engine.args.gpu_memory_utilization from {share} first (0.9 unless set)"
    )


def test_the_usual_share_is_not_spoken_of() -> None:
    refused = ask("meta-llama/Llama-3.1-405B-Instruct", "l4-24gb")
    assert "gpu_memory_utilization" not in the_refusal(refused).message
