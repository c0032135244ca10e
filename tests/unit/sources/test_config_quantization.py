"""Number formats of stored weights, as the methods write them in config.json."""

from typing import Any

import pytest
from tests.unit.sources.configs import config

from freehold.api.architecture import Checkpoint, ModelDescription
from freehold.sources.config_json import describe, with_quantization


def stored(quantization: Any, **changes: Any) -> Checkpoint:
    data = config("llama-3.1-70b") | {"quantization_config": quantization} | changes
    found = describe(data, 1000)
    assert isinstance(found, ModelDescription), [str(fault) for fault in found]
    return found.checkpoint


def group(kind: str, bits: int, **more: Any) -> dict[str, Any]:
    return {"weights": {"type": kind, "num_bits": bits, **more}}


def compressed(*groups: dict[str, Any], form: str = "") -> dict[str, Any]:
    named = {f"group_{i}": item for i, item in enumerate(groups)}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": named}


@pytest.mark.parametrize(
    ("quantization", "precision", "method", "block"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", "fp8", 128),
        ({"quant_method": "fp8", "activation_scheme": "static"}, "fp8", "fp8", None),
        ({"quant_method": "fbgemm_fp8"}, "fp8", "fbgemm_fp8", None),
        (compressed(group("float", 8)), "fp8", "compressed-tensors", None),
        (
            compressed(group("float", 8, strategy="block", block_structure=[128, 128])),
            "fp8",
            "compressed-tensors",
            128,
        ),
        (compressed(group("int", 8)), "int8", "compressed-tensors", None),
        (compressed(group("int", 4, group_size=128)), "int4", "compressed-tensors", None),
        (
            compressed(group("float", 4, group_size=16), form="nvfp4-pack-quantized"),
            "nvfp4",
            "compressed-tensors",
            None,
        ),
        (compressed(group("float", 4, group_size=32)), "mxfp4", "compressed-tensors", None),
        (
            compressed(group("float", 8), group("float", 4, group_size=16)),
            "nvfp4",
            "compressed-tensors",
            None,
        ),
        (compressed(), "bf16", "compressed-tensors", None),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", "modelopt", None),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", "modelopt_fp4", None),
        ({"quant_method": "modelopt", "quant_algo": "MXFP8"}, "fp8", "modelopt_mxfp8", None),
        (
            {
                "quant_method": "modelopt",
                "quant_algo": "MIXED_PRECISION",
                "quantized_layers": {"a": {"quant_algo": "FP8"}, "b": {"quant_algo": "NVFP4"}},
            },
            "nvfp4",
            "modelopt_mixed",
            None,
        ),
        ({"quant_method": "mxfp4"}, "mxfp4", "mxfp4", None),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4", "awq", None),
        ({"quant_method": "gptq", "bits": 4}, "int4", "gptq", None),
        ({"quant_method": "gptq", "bits": 8}, "int8", "gptq", None),
        ({"quant_method": "auto-round", "bits": 4}, "int4", "inc", None),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4", "bitsandbytes", None),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", "bitsandbytes", None),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}},
            "fp8",
            "quark",
            None,
        ),
    ],
)
def test_quantised(
    quantization: dict[str, Any], precision: str, method: str, block: int | None
) -> None:
    found = stored(quantization)
    assert (found.precision, found.quantization, found.block_size) == (precision, method, block)


@pytest.mark.parametrize(
    "quantization",
    [
        {"quant_method": "gptq", "bits": 3},
        {"quant_method": "awq"},
        {"quant_method": "exotic"},
        {"quant_method": "quark"},
        {"bits": 4},
        compressed(group("int", 2)),
    ],
)
def test_unknown_methods_are_told_with_the_known(quantization: dict[str, Any]) -> None:
    found = describe(config("llama-3.1-70b") | {"quantization_config": quantization}, 1000)
    assert isinstance(found, tuple)
    assert [fault.path for fault in found] == ["config.json: quantization_config"]
    assert "compressed-tensors" in found[0].allowed


@pytest.mark.parametrize("dtype", ["float32", "torch.float32"])
@pytest.mark.parametrize("field", ["dtype", "torch_dtype"])
def test_32_bits_are_served_in_16(field: str, dtype: str) -> None:
    data = config("llama-3.1-70b")
    del data["torch_dtype"]
    found = describe(data | {field: dtype}, 2001)
    assert isinstance(found, ModelDescription)
    assert (found.checkpoint.size, found.checkpoint.precision) == ("1001", "bf16")


def test_quantised_weights_are_not_halved() -> None:
    assert stored({"quant_method": "fp8"}, torch_dtype="float32").size == "1000"


def test_plain_weights_of_a_strange_type() -> None:
    found = describe(config("llama-3.1-70b") | {"torch_dtype": "float8_e4m3fn"}, 1000)
    assert isinstance(found, tuple)
    assert found[0].path == "config.json: dtype"
    assert "bfloat16" in found[0].allowed


def test_nested_quantisation() -> None:
    data = config("llama-4-scout")
    data["text_config"]["quantization_config"] = compressed(group("int", 4))
    found = describe(data, 1000)
    assert isinstance(found, ModelDescription)
    assert found.checkpoint.precision == "int4"


def test_model_optimizer_file_counts_only_where_the_config_is_silent() -> None:
    beside = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}
    merged = with_quantization(config("llama-3.1-70b"), beside)
    found = describe(merged, 1000)
    assert isinstance(found, ModelDescription)
    assert found.checkpoint.precision == "nvfp4"
    own = config("qwen3-8b-fp8")
    assert with_quantization(own, beside) is own
