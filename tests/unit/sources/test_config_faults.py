"""Configurations that cannot be planned from, and what is said of them."""

from typing import Any

import pytest
from tests.unit.sources.configs import config

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.sources.config_json import describe


def faults(data: dict[str, Any], size: int = 1000) -> dict[str, Fault]:
    found = describe(data, size)
    assert not isinstance(found, ModelDescription)
    return {fault.path: fault for fault in found}


def test_all_missing_fields_are_told_at_once() -> None:
    found = faults({"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
    assert list(found) == [
        f"config.json: {name}"
        for name in (
            "num_hidden_layers",
            "hidden_size",
            "max_position_embeddings",
            "intermediate_size",
            "num_attention_heads",
            "vocab_size",
        )
    ]
    assert found["config.json: hidden_size"].found == "nothing"
    assert "spec.model.architecture" in found["config.json: hidden_size"].hint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_hidden_layers", 0),
        ("num_hidden_layers", 100_000),
        ("num_attention_heads", -1),
        ("num_attention_heads", "32"),
        ("num_key_value_heads", True),
        ("num_key_value_heads", 7),
        ("num_key_value_heads", 128),
        ("hidden_size", 4096.5),
        ("hidden_size", [1, 2]),
        ("intermediate_size", [1536] * 80),
        ("vocab_size", 2**40),
        ("max_position_embeddings", 0),
    ],
)
def test_implausible_values(field: str, value: Any) -> None:
    found = faults(config("llama-3.1-70b") | {field: value})
    assert list(found) == [f"config.json: {field}"]
    assert "nothing" not in found[f"config.json: {field}"].found


def test_width_that_the_heads_do_not_divide() -> None:
    found = faults(config("llama-3.1-70b") | {"hidden_size": 8190})
    assert "head_dim" in found["config.json: hidden_size"].allowed
    assert isinstance(
        describe(config("llama-3.1-70b") | {"hidden_size": 8190, "head_dim": 128}, 1000),
        ModelDescription,
    )


def test_fields_of_the_language_model_are_named_with_their_place() -> None:
    data = config("llama-4-scout")
    data["text_config"]["num_attention_heads"] = 0
    assert list(faults(data)) == ["config.json: text_config.num_attention_heads"]


def test_more_experts_for_a_token_than_there_are() -> None:
    found = faults(config("mixtral-8x7b") | {"num_experts_per_tok": 9})
    assert found["config.json: num_experts_per_tok"].allowed == "at most the 8 experts"


def test_experts_without_their_number_for_a_token() -> None:
    data = config("mixtral-8x7b")
    del data["num_experts_per_tok"]
    assert list(faults(data)) == ["config.json: num_experts_per_tok"]


def test_too_few_layer_types() -> None:
    found = faults(config("gemma-3-1b") | {"layer_types": ["sliding_attention"] * 3})
    assert found["config.json: layer_types"].found == "3 entries"


def test_latent_attention_without_its_rotary_part() -> None:
    data = config("deepseek-v3")
    del data["qk_rope_head_dim"]
    assert list(faults(data)) == ["config.json: qk_rope_head_dim"]


def test_no_bytes() -> None:
    assert list(faults(config("qwen3-4b"), 0)) == ["config.json: weights"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"model_type": "bert", "architectures": ["BertModel"]}, "encoder-only"),
        ({"model_type": "x", "architectures": ["XForMaskedLM"]}, "encoder-only"),
        (config("gemma-3-1b") | {"use_bidirectional_attention": True}, "encoder-only"),
        ({"model_type": "t5gemma", "is_encoder_decoder": True}, "encoder-decoder"),
        ({"_class_name": "FluxTransformer2DModel"}, "diffusion"),
        ({"model_type": "mamba2", "hidden_size": 4096}, "state-space"),
        (config("llama-2-7b") | {"mamba_d_state": 128}, "state-space"),
        (config("qwen3.5-27b"), "state-space"),
        (config("llama-2-7b") | {"layer_types": ["linear_attention"] * 32}, "linear_attention"),
        (config("llama-3.2-11b-vision"), "cross-attention"),
        (config("llama-2-7b") | {"block_configs": [{}]}, "block_configs"),
    ],
)
def test_other_kinds_of_model_are_refused(data: dict[str, Any], kind: str) -> None:
    found = faults(data)
    assert list(found) == ["config.json"]
    assert kind in found["config.json"].found
    assert "decoder-only" in found["config.json"].allowed
    assert "spec.model.architecture" in found["config.json"].hint


def test_hybrid_family_without_a_state_space_layer_is_plain() -> None:
    data = config("llama-2-7b") | {"mamba_d_state": 128, "layer_types": ["attention"] * 32}
    assert isinstance(describe(data, 1000), ModelDescription)
