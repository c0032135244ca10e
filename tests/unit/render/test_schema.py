"""The renderer's check refuses what Ray and vLLM would ignore, or would find too late."""

from __future__ import annotations

import copy
import json
import math
from types import MappingProxyType
from typing import Any

import pytest

from freehold.render.schema import check_engine_args, check_serve_config, with_whole_numbers

Config = dict[str, Any]
Keys = tuple[str | int, ...]

APP: Keys = ("applications", 0)
LLM: Keys = (*APP, "args", "llm_configs", 0)
SERVER: Keys = (*APP, "deployments", 0)

GOOD: Config = {
    "proxy_location": "EveryNode",
    "http_options": {"host": "0.0.0.0", "port": 8000, "request_timeout_s": 600},
    "grpc_options": {"port": 9000},
    "controller_options": {"runtime_env": {"env_vars": {"RAY_SERVE_LOG_ENCODING": "JSON"}}},
    "logging_config": {"encoding": "JSON", "log_level": "INFO"},
    "tracing_config": {"enabled": False},
    "applications": [
        {
            "name": "llama-3-1-405b",
            "route_prefix": "/",
            "import_path": "ray.serve.llm:build_openai_app",
            "runtime_env": {"env_vars": {"HF_HUB_OFFLINE": "1"}},
            "autoscaling_policy": {"policy_kwargs": {}},
            "args": {
                "ingress_cls_config": {"ingress_extra_kwargs": {}},
                "ingress_deployment_config": {"max_ongoing_requests": 1000},
                "llm_configs": [
                    {
                        "model_loading_config": {
                            "model_id": "llama-3.1-405b",
                            "model_source": {
                                "bucket_uri": "s3://models/llama",
                                "extra_files": [
                                    {"bucket_uri": "s3://models/x", "destination_path": "/x"}
                                ],
                            },
                        },
                        "engine_kwargs": {
                            "tensor_parallel_size": 8,
                            "pipeline_parallel_size": 2,
                            "max_model_len": 65536,
                            "gpu_memory_utilization": 0.9,
                            "max_num_seqs": 128,
                            "kv_cache_dtype": "fp8",
                            "enable_prefix_caching": True,
                            "enable_auto_tool_choice": True,
                            "tool_call_parser": "llama3_json",
                            "compilation_config": {"mode": 3},
                        },
                        "accelerator_type": "H100",
                        "accelerator_config": {"kind": "gpu"},
                        "placement_group_config": {
                            "bundle_per_worker": {"GPU": 1, "CPU": 2, "memory": 1e9},
                            "strategy": "PACK",
                        },
                        "lora_config": {
                            "dynamic_lora_loading_path": "s3://adapters",
                            "max_num_adapters_per_replica": 4,
                        },
                        "deployment_config": {
                            "autoscaling_config": {"min_replicas": 0, "max_replicas": 2}
                        },
                        "experimental_configs": {"stream_batching_interval_ms": 50},
                        "callback_config": {"raise_error_on_callback": True},
                        "runtime_env": {"env_vars": {"VLLM_LOGGING_LEVEL": "INFO"}},
                        "log_engine_metrics": True,
                    }
                ],
            },
            "deployments": [
                {
                    "name": "LLMServer:llama-3_1-405b",
                    "max_ongoing_requests": 256,
                    "max_queued_requests": -1,
                    "backpressure_config": {"status_code": 429, "retry_after_s": 5},
                    "user_config": {"anything": [1, "two"]},
                    "health_check_period_s": 10,
                    "ray_actor_options": {
                        "num_cpus": 1,
                        "resources": {"accelerator_type:H100": 0.001},
                        "label_selector": {"ray.io/accelerator-type": "H100"},
                    },
                    "request_router_config": {"request_router_kwargs": {"x": 1}},
                    "logging_config": {"enable_access_log": False},
                    "autoscaling_config": {
                        "min_replicas": 0,
                        "initial_replicas": 1,
                        "max_replicas": 8,
                        "target_ongoing_requests": 64.0,
                        "upscale_delay_s": 0,
                        "downscale_delay_s": 600,
                        "policy": {
                            "policy_function": "ray.serve.autoscaling_policy:"
                            "default_autoscaling_policy",
                            "policy_kwargs": {"any": {"thing": 1}},
                        },
                    },
                },
                {
                    "name": "OpenAiIngress",
                    "autoscaling_config": {"min_replicas": 2, "max_replicas": 2},
                },
            ],
        }
    ],
}


def at(config: Any, keys: Keys) -> Any:
    for key in keys:
        config = config[key]
    return config


def changed(keys: Keys, value: Any) -> Config:
    """Return the good config with one value replaced or added."""
    config = copy.deepcopy(GOOD)
    at(config, keys[:-1])[keys[-1]] = value
    return config


def written(keys: Keys) -> str:
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")


def closed_levels() -> list[Keys]:
    """Return every mapping in the good config whose fields are known."""
    free = {
        "any",
        "engine_kwargs",
        "env_vars",
        "bundle_per_worker",
        "ingress_extra_kwargs",
        "label_selector",
        "policy_kwargs",
        "request_router_kwargs",
        "resources",
        "user_config",
    }
    open_envs = {(*APP, "runtime_env"), (*LLM, "runtime_env")}

    def walk(value: Any, keys: Keys) -> list[Keys]:
        if isinstance(value, list):
            return [found for i, item in enumerate(value) for found in walk(item, (*keys, i))]
        if not isinstance(value, dict) or (keys and keys[-1] in free):
            return []
        below = [found for k, item in value.items() for found in walk(item, (*keys, k))]
        return below if keys in open_envs else [keys, *below]

    return walk(GOOD, ())


def test_a_realistic_config_has_no_fault() -> None:
    assert check_serve_config(GOOD) == ()


def test_frozen_mappings_and_tuples_are_read_like_dicts_and_lists() -> None:
    frozen = {**GOOD, "applications": tuple(MappingProxyType(a) for a in GOOD["applications"])}
    assert check_serve_config(MappingProxyType(frozen)) == ()


@pytest.mark.parametrize("keys", closed_levels(), ids=lambda keys: written(keys) or "root")
def test_an_unknown_key_is_refused_where_it_stands(keys: Keys) -> None:
    faults = check_serve_config(changed((*keys, "freehold_typo"), 1))
    assert [fault.path for fault in faults] == [written((*keys, "freehold_typo"))]
    assert faults[0].found == "unknown field 'freehold_typo'"


def test_the_levels_tried_include_the_deep_ones() -> None:
    levels = {written(keys) for keys in closed_levels()}
    assert len(levels) > 25
    assert "applications[0].deployments[0].autoscaling_config.policy" in levels
    assert "applications[0].args.llm_configs[0].model_loading_config.model_source" in levels


@pytest.mark.parametrize(
    ("keys", "nearest"),
    [
        ((*SERVER, "max_ongoing_request"), "max_ongoing_requests"),
        ((*SERVER, "autoscaling_config", "target_num_ongoing_requests"), "target_ongoing_requests"),
        ((*LLM, "engine_kwarg"), "engine_kwargs"),
        ((*LLM, "model_loading_config", "modelid"), "model_id"),
        ((*LLM, "engine_kwargs", "max_num_seq"), "max_num_seqs"),
        (("http_options", "portt"), "port"),
    ],
)
def test_a_typing_error_is_told_the_nearest_name(keys: Keys, nearest: str) -> None:
    (fault,) = check_serve_config(changed(keys, 1))
    assert fault.path == written(keys)
    assert nearest in fault.allowed.replace(",", " ").split()
    assert fault.hint == f"Did you mean {nearest}?"


@pytest.mark.parametrize(
    ("keys", "value", "found", "allowed"),
    [
        ((*SERVER, "max_ongoing_requests"), "64", '"64"', "an integer, greater than 0"),
        ((*SERVER, "max_ongoing_requests"), 64.0, "64.0", "an integer, greater than 0"),
        ((*SERVER, "max_ongoing_requests"), True, "true", "an integer, greater than 0"),
        ((*SERVER, "max_ongoing_requests"), 0, "0", "an integer, greater than 0"),
        ((*SERVER, "max_queued_requests"), 0, "0", "-1 or an integer, at least 1"),
        ((*SERVER, "backpressure_config", "status_code"), 500, "500", "503, 429"),
        ((*SERVER, "ray_actor_options"), 3, "3", "a mapping"),
        ((*SERVER, "logging_config", "log_level"), "LOUD", '"LOUD"', '"WARNING"'),
        ((*SERVER, "autoscaling_config"), 4, "4", "a mapping or null"),
        ((*SERVER, "autoscaling_config", "aggregation_function"), "sum", '"sum"', '"mean"'),
        ((*SERVER, "placement_group_strategy"), "TIGHT", '"TIGHT"', '"STRICT_PACK"'),
        ((*LLM, "accelerator_type"), "H1000", '"H1000"', '"H100"'),
        ((*LLM, "accelerator_config", "kind"), "npu", '"npu"', '"tpu"'),
        ((*LLM, "model_loading_config", "model_source"), 7, "7", "a string or a mapping or null"),
        ((*LLM, "llm_engine"), "sglang", '"sglang"', '"vLLM"'),
        ((*LLM, "runtime_env", "env_vars", "A"), 1, "1", "a string"),
        ((*LLM, "placement_group_config", "bundle_per_worker", "TPU"), -1, "-1", "at least 0"),
        ((*APP, "import_path"), "ray.serve.llm:build", '"ray.serve.llm:build"', "build_openai_app"),
        ((*APP, "route_prefix"), "v1", '"v1"', "a string or null, like"),
        ((*APP, "deployments"), {}, "a mapping", "a list"),
        (("target_capacity",), 101, "101", "a number or null, at least 0 and at most 100"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(
    keys: Keys, value: object, found: str, allowed: str
) -> None:
    (fault,) = check_serve_config(changed(keys, value))
    assert (fault.path, fault.found) == (written(keys), found)
    assert allowed in fault.allowed


@pytest.mark.parametrize("count", ["auto", None, 3])
def test_replica_counts_may_be_a_number_auto_or_null(count: object) -> None:
    config = changed((*SERVER, "num_replicas"), count)
    del at(config, SERVER)["autoscaling_config"]
    assert check_serve_config(config) == ()


def test_a_missing_field_is_told_at_its_own_path() -> None:
    config = copy.deepcopy(GOOD)
    del at(config, (*LLM, "model_loading_config"))["model_id"]
    (fault,) = check_serve_config(config)
    assert fault.path == written((*LLM, "model_loading_config", "model_id"))
    assert (fault.found, fault.allowed) == ("nothing", "a string")


def test_exactly_one_kind_of_bundles_is_allowed() -> None:
    (fault,) = check_serve_config(changed((*LLM, "placement_group_config", "bundles"), []))
    assert fault.path == written((*LLM, "placement_group_config"))
    assert fault.allowed == "exactly one of bundle_per_worker, bundles"


def test_a_topology_is_for_tpus() -> None:
    (fault,) = check_serve_config(changed((*LLM, "accelerator_config", "topology"), "4x4"))
    assert fault.path == written((*LLM, "accelerator_config", "kind"))
    assert fault.allowed == '"tpu"'


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "keys",
    [
        (*SERVER, "autoscaling_config", "target_ongoing_requests"),
        (*SERVER, "autoscaling_config", "policy", "policy_kwargs", "deep"),
        (*SERVER, "user_config", "anything"),
        (*LLM, "engine_kwargs", "gpu_memory_utilization"),
    ],
)
def test_every_number_is_finite_even_in_free_mappings(keys: Keys, bad: float) -> None:
    (fault,) = check_serve_config(changed(keys, bad))
    assert fault.path == written(keys)
    assert (fault.found, fault.allowed) == (str(bad), "a finite number")


def test_keys_that_are_no_strings_are_refused() -> None:
    (fault,) = check_serve_config(changed((*SERVER, "user_config"), {True: 1}))
    assert (fault.found, fault.allowed) == ("the key true", "a string")


@pytest.mark.parametrize(
    ("scaling", "field"),
    [
        ({"min_replicas": 2}, "autoscaling_config.max_replicas"),
        ({"min_replicas": 4, "max_replicas": 3}, "autoscaling_config.max_replicas"),
        ({"initial_replicas": 9, "max_replicas": 8}, "autoscaling_config.initial_replicas"),
        ({"initial_replicas": 0, "max_replicas": 8}, "autoscaling_config.initial_replicas"),
    ],
)
def test_replica_bounds_agree_counting_defaults(scaling: Config, field: str) -> None:
    (fault,) = check_serve_config(changed((*SERVER, "autoscaling_config"), scaling))
    assert fault.path == f"{written(SERVER)}.{field}"


def test_a_fixed_count_and_autoscaling_exclude_each_other() -> None:
    (fault,) = check_serve_config(changed((*SERVER, "num_replicas"), 2))
    assert fault.path == written((*SERVER, "num_replicas"))


def test_names_routes_and_model_ids_are_used_once() -> None:
    config = copy.deepcopy(GOOD)
    config["applications"].append(copy.deepcopy(config["applications"][0]))
    llms = at(config, (*APP, "args", "llm_configs"))
    llms.append(copy.deepcopy(llms[0]))
    assert [fault.path for fault in check_serve_config(config)] == [
        "applications[0].args.llm_configs[1].model_loading_config.model_id",
        "applications[1].name",
        "applications[1].route_prefix",
    ]


def test_all_faults_come_at_once_in_the_order_of_the_paths() -> None:
    config = copy.deepcopy(GOOD)
    at(config, SERVER)["num_replica"] = 1
    at(config, (*LLM, "engine_kwargs")).update({"kv_cache_dtype": "fp9", "dtype": 16})
    config["http_options"]["port"] = "8000"
    config["applications"] += [{"name": "b"}] * 10
    faults = check_serve_config(config)
    paths = [fault.path for fault in faults]
    assert paths[:3] == [
        "applications[0].args.llm_configs[0].engine_kwargs.dtype",
        "applications[0].args.llm_configs[0].engine_kwargs.kv_cache_dtype",
        "applications[0].deployments[0].num_replica",
    ]
    assert paths.index("applications[2].args") < paths.index("applications[10].args")
    assert paths[-1] == "http_options.port"
    reordered = json.loads(json.dumps(config, sort_keys=True))
    assert check_serve_config(reordered) == faults


# --- Engine arguments ------------------------------------------------------------------------


def test_good_engine_arguments_of_both_groups_pass() -> None:
    args = {
        "max_num_seqs": 128,
        "kv_cache_dtype": "fp8_e4m3",
        "attention_backend": "FLASH_ATTN",
        "quantization": None,
        "hf_overrides": {"rope_scaling": {"factor": 2.0}},
        "ignore_patterns": ["*.pt"],
        "optimization_level": 3,
        "gpu_memory_utilization": 1,
        "speculative_config": {"method": "ngram"},
        "chat_template": "/templates/a.jinja",
        "uvicorn_log_level": "warning",
    }
    assert check_engine_args(args) == ()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("kv_cache_dtype", "fp9", '"fp8"'),
        ("dtype", None, '"bfloat16"'),
        ("max_lora_rank", 24, "16, 32"),
        ("attention_backend", "FLASH", '"FLASH_ATTN"'),
        ("gpu_memory_utilization", 1.5, "a number, greater than 0 and at most 1"),
        ("gpu_memory_utilization", 0, "greater than 0"),
        ("max_num_seqs", 0, "an integer or null, at least 1"),
        ("tensor_parallel_size", "8", "an integer, at least 1"),
        ("enforce_eager", "yes", "true or false"),
        ("collect_detailed_traces", "all", "a list or null"),
        ("compilation_config", 3, "a mapping"),
        ("distributed_executor_backend", "uni", '"ray"'),
    ],
)
def test_a_wrong_engine_value_is_told(name: str, value: object, allowed: str) -> None:
    (fault,) = check_engine_args({name: value})
    assert fault.path == name
    assert allowed in fault.allowed


def test_choices_inside_a_list_are_checked() -> None:
    (fault,) = check_engine_args({"collect_detailed_traces": ["model", "none"]})
    assert fault.path == "collect_detailed_traces[1]"
    assert '"worker"' in fault.allowed


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("max-num-seqs", "Write max_num_seqs."),
        ("--max-num-seqs", "Write max_num_seqs."),
        ("--max_num_seqs", "Write max_num_seqs."),
        ("--no-enable-prefix-caching", "Write enable_prefix_caching: false."),
        ("max_num_sequences", "Did you mean max_num_seqs?"),
    ],
)
def test_command_line_spellings_get_the_right_name(key: str, hint: str) -> None:
    (fault,) = check_engine_args({key: 1})
    assert (fault.path, fault.hint) == (key, hint)
    assert fault.found == f"unknown field {key!r}"


@pytest.mark.parametrize("key", ["model", "served_model_name", "--model", "served-model-name"])
def test_the_model_is_named_elsewhere_in_the_words_of_the_manifest(key: str) -> None:
    (fault,) = check_engine_args({key: "llama"})
    assert fault.path == key
    field = "servedName" if "served" in key else "source"
    assert fault.hint.startswith(f"spec.model.{field} names the ")
    assert "model_loading_config" not in str(fault)


def test_a_number_of_the_wrong_spelling_is_told_the_right_one() -> None:
    (fault,) = check_engine_args({"max_num_batched_tokens": "8"})
    assert fault.hint == "Write 8, without quotes."
    (fault,) = check_serve_config(changed((*SERVER, "max_ongoing_requests"), 1e6))
    assert fault.hint == "Write 1000000, without a decimal point."


@pytest.mark.parametrize(
    ("args", "whole"),
    [
        ({"max_num_batched_tokens": 1e6}, {"max_num_batched_tokens": 1000000}),
        (
            {"safetensors_prefetch_block_size": 4.294967296e9},
            {"safetensors_prefetch_block_size": 4294967296},
        ),
        ({"cudagraph_capture_sizes": [1.0, 2]}, {"cudagraph_capture_sizes": [1, 2]}),
        ({"gpu_memory_utilization": 1.0}, {"gpu_memory_utilization": 1.0}),
        ({"additional_config": {"x": 1e6}}, {"additional_config": {"x": 1e6}}),
    ],
)
def test_whole_numbers_as_helm_writes_them_are_taken_for_integers(
    args: dict[str, Any], whole: dict[str, Any]
) -> None:
    assert check_engine_args(args) == ()
    made = with_whole_numbers(args)
    assert json.dumps(made) == json.dumps(whole)
    assert with_whole_numbers({"nobody_knows": 1e6}) == {"nobody_knows": 1e6}


@pytest.mark.parametrize("value", [1.5, math.inf, math.nan, True])
def test_other_numbers_are_no_integers(value: object) -> None:
    (fault,) = check_engine_args({"max_num_batched_tokens": value})
    assert fault.path == "max_num_batched_tokens"


@pytest.mark.parametrize("name", ["headless", "swap_space", "guided_decoding_backend"])
def test_no_name_is_suggested_that_is_merely_the_least_far(name: str) -> None:
    (fault,) = check_engine_args({name: 1})
    assert fault.hint == ""
    assert fault.allowed.endswith("known names, none of which is near")


@pytest.mark.parametrize("value", [1e30, -1e30, 2**63, {"a": [1e19]}])
def test_a_number_that_the_api_server_would_not_keep_is_refused(value: Any) -> None:
    (fault,) = check_engine_args({"additional_config": {"x": value}})
    assert fault.path.startswith("additional_config.x")
    assert fault.allowed == "a number of at most 64 bits"
    assert check_engine_args({"additional_config": {"x": 2**62}, "seed": 1e15}) == ()
