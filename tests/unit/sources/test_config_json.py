"""Config.json files of published models, cut to the fields that matter, against their shapes.

The values are those of the public files (for most as sgl-project/ome keeps them as test data).
"""

from typing import Any

import pytest
from tests.unit.sources.configs import config

from freehold.api.architecture import Experts, LatentAttention, LocalAttention, ModelDescription
from freehold.catalog.builtin import builtin_catalog
from freehold.sources.config_json import describe

BYTES = 1_000_000


def described(data: dict[str, Any], size: int = BYTES) -> ModelDescription:
    found = describe(data, size)
    assert isinstance(found, ModelDescription), [str(fault) for fault in found]
    return found


def latent(rank: int, rope: int) -> LatentAttention:
    return LatentAttention(kv_lora_rank=rank, rope_head_dim=rope)


def local(window: int, layers: int) -> LocalAttention:
    return LocalAttention(window=window, layers=layers)


def mixture(count: int, per_token: int, width: int, layers: int, shared: int) -> Experts:
    return Experts(
        count=count, per_token=per_token, intermediate_size=width, layers=layers, shared=shared
    )


# name: layers, heads, KV heads, head size, dense width, context, tied embeddings
SHAPES = {
    "deepseek-v2-lite": (27, 16, 16, 192, 10944, 163840, False),
    "deepseek-v3": (61, 128, 128, 192, 18432, 163840, False),
    "gemma-2-9b": (42, 16, 8, 256, 14336, 8192, True),
    "gemma-3-1b": (26, 4, 1, 256, 6912, 32768, True),
    "gemma-3-27b": (62, 32, 16, 128, 21504, 131072, True),
    "glm-4-9b": (40, 32, 2, 128, 13696, 32768, False),
    "glm-4.5-air": (46, 96, 8, 128, 10944, 131072, False),
    "gpt-oss-120b": (36, 64, 8, 64, 2880, 131072, False),
    "kimi-k2": (61, 64, 64, 192, 18432, 131072, False),
    "llama-2-7b": (32, 32, 32, 128, 11008, 4096, False),
    "llama-3.1-405b-fp8": (126, 128, 8, 128, 53248, 131072, False),
    "llama-3.1-70b": (80, 64, 8, 128, 28672, 131072, False),
    "llama-3.2-1b": (16, 32, 8, 64, 8192, 131072, True),
    "llama-4-maverick-fp8": (48, 40, 8, 128, 16384, 1048576, False),
    "llama-4-scout": (48, 40, 8, 128, 16384, 10485760, False),
    "llama-guard-4": (48, 40, 8, 128, 8192, 131072, False),
    "minicpm3-4b": (62, 40, 40, 96, 6400, 32768, True),
    "mistral-7b-v0.1": (32, 32, 8, 128, 14336, 32768, False),
    "mistral-small-3.1": (40, 32, 8, 128, 32768, 131072, False),
    "mixtral-8x7b": (32, 32, 8, 128, 14336, 32768, False),
    "olmo-2-7b": (32, 32, 32, 128, 11008, 4096, False),
    "phi-3-mini-128k": (32, 32, 32, 96, 8192, 131072, False),
    "phi-4": (40, 40, 10, 128, 17920, 16384, False),
    "qwen1.5-moe-a2.7b": (24, 16, 16, 128, 5632, 8192, False),
    "qwen2.5-72b": (80, 64, 8, 128, 29568, 131072, False),
    "qwen2.5-vl-7b": (28, 28, 4, 128, 18944, 128000, False),
    "qwen3-30b-a3b": (48, 32, 4, 128, 6144, 40960, False),
    "qwen3-4b": (36, 32, 8, 128, 9728, 40960, True),
    "qwen3-8b-fp8": (36, 32, 8, 128, 12288, 40960, False),
    "tiny-llama-transformers-5": (2, 4, 2, 16, 128, 512, False),
}

# MiniCPM3 compresses its keys and values too, but the engine caches them unfolded.
LATENT = {
    "deepseek-v2-lite": latent(512, 64),
    "deepseek-v3": latent(512, 64),
    "kimi-k2": latent(512, 64),
}

# Qwen 2.5 and Phi 3 name windows that are switched off or as long as the context.
LOCAL = {
    "gemma-2-9b": local(4096, 21),
    "gemma-3-1b": local(512, 22),
    "gemma-3-27b": local(1024, 52),
    "gpt-oss-120b": local(128, 18),
    "llama-4-maverick-fp8": local(8192, 36),
    "llama-4-scout": local(8192, 36),
    "llama-guard-4": local(8192, 36),
    "mistral-7b-v0.1": local(4096, 32),
}

EXPERTS = {
    "deepseek-v2-lite": mixture(64, 6, 1408, 26, 2),
    "deepseek-v3": mixture(256, 8, 2048, 58, 1),
    "glm-4.5-air": mixture(128, 8, 1408, 45, 1),
    "gpt-oss-120b": mixture(128, 4, 2880, 36, 0),
    "kimi-k2": mixture(384, 8, 2048, 60, 1),
    "llama-4-maverick-fp8": mixture(128, 1, 8192, 24, 1),
    "llama-4-scout": mixture(16, 1, 8192, 48, 1),
    "mixtral-8x7b": mixture(8, 2, 14336, 32, 0),
    "qwen1.5-moe-a2.7b": mixture(60, 4, 1408, 24, 4),
    "qwen3-30b-a3b": mixture(128, 8, 768, 48, 0),
}

FORMATS = {
    "gpt-oss-120b": ("mxfp4", "mxfp4", None),
    "kimi-k2": ("fp8", "fp8", 128),
    "llama-3.1-405b-fp8": ("fp8", "fbgemm_fp8", None),
    "llama-4-maverick-fp8": ("fp8", "compressed-tensors", None),
    "qwen3-8b-fp8": ("fp8", "fp8", 128),
}
FLOAT32 = {"gemma-2-9b", "olmo-2-7b", "tiny-llama-transformers-5"}


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str) -> None:
    model = described(config(name))
    assert SHAPES[name] == (
        model.layers,
        model.attention_heads,
        model.key_value_heads,
        model.head_dim,
        model.intermediate_size,
        model.max_context_length,
        model.tied_embeddings,
    )
    assert model.model_class == config(name)["architectures"][0]


@pytest.mark.parametrize("name", SHAPES)
def test_attention_and_experts(name: str) -> None:
    model = described(config(name))
    assert model.latent_attention == LATENT.get(name)
    assert model.local_attention == LOCAL.get(name)
    assert model.experts == EXPERTS.get(name)


@pytest.mark.parametrize("name", SHAPES)
def test_stored_weights(name: str) -> None:
    stored = described(config(name)).checkpoint
    expected = FORMATS.get(name, ("bf16", None, None))
    assert (stored.precision, stored.quantization, stored.block_size) == expected
    # a 32-bit checkpoint is served in 16 bits
    assert stored.size == str(BYTES // 2 if name in FLOAT32 else BYTES)


def _same_shape_in_catalogue() -> list[tuple[str, str]]:
    return [
        ("llama-3.1-70b", "meta-llama/Llama-3.1-70B-Instruct"),
        ("llama-3.2-1b", "meta-llama/Llama-3.2-1B-Instruct"),
        ("qwen3-4b", "Qwen/Qwen3-4B"),
        ("qwen3-8b-fp8", "Qwen/Qwen3-8B-FP8"),
        ("qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B"),
        ("kimi-k2", "moonshotai/Kimi-K2-Instruct"),
        ("gpt-oss-120b", "openai/gpt-oss-120b"),
        ("gemma-3-27b", "google/gemma-3-27b-it"),
        ("llama-4-scout", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    ]


@pytest.mark.parametrize(("name", "repository"), _same_shape_in_catalogue())
def test_a_catalogued_model_is_described_as_the_catalogue_has_it(
    name: str, repository: str
) -> None:
    known = builtin_catalog().model(repository)
    assert known is not None
    read = described(config(name)).model_copy(update={"checkpoint": known.description.checkpoint})
    assert read == known.description


def test_key_value_heads_default_to_the_query_heads() -> None:
    data = config("llama-3.1-70b")
    del data["num_key_value_heads"]
    assert described(data).key_value_heads == 64


def test_null_is_no_default() -> None:
    # what transformers writes of Mistral Small 3.1: its class's default window is 4096
    data = config("mistral-small-3.1")
    assert described(data).local_attention is None
    del data["text_config"]["sliding_window"]
    assert described(data).local_attention == local(4096, 40)


def test_layer_types_stand_over_patterns() -> None:
    data = config("gemma-3-1b")
    data["layer_types"] = ["sliding_attention", "full_attention"] * 13
    assert described(data).local_attention == local(512, 13)


def test_layer_types_may_go_on_over_prediction_layers() -> None:
    data = config("gemma-3-1b")
    data["layer_types"] = ["full_attention"] * 26 + ["sliding_attention"]
    assert described(data).local_attention is None


def test_indexed_layers_keep_every_token() -> None:
    data = config("deepseek-v3") | {"layer_types": ["indexed_attention"] * 61}
    model = described(data)
    assert (model.latent_attention, model.local_attention) == (latent(512, 64), None)


def test_switched_on_window_of_qwen_spares_the_first_layers() -> None:
    data = config("qwen2.5-72b") | {
        "use_sliding_window": True,
        "sliding_window": 4096,
        "max_window_layers": 60,
    }
    assert described(data).local_attention == local(4096, 20)


def test_written_pattern_of_local_and_global_layers() -> None:
    data = config("llama-2-7b") | {
        "model_type": "exaone4",
        "sliding_window": 1024,
        "sliding_window_pattern": "LLLG",
    }
    assert described(data).local_attention == local(1024, 24)


def test_no_rope_layers_of_llama_4_see_everything() -> None:
    data = config("llama-4-scout")
    data["text_config"]["no_rope_layers"] = [1, 0] * 24
    assert described(data).local_attention == local(8192, 24)


@pytest.mark.parametrize(
    ("change", "layers"),
    [
        ({"mlp_only_layers": [0, 1]}, 46),
        ({"decoder_sparse_step": 2}, 24),
        ({"decoder_sparse_step": 2, "mlp_only_layers": [1, 3]}, 22),
        ({"mlp_layer_types": ["dense"] * 8 + ["sparse"] * 40}, 40),
        ({"moe_layer_freq": [0] + [1] * 47}, 47),
        ({"moe_layer_start_index": 4, "moe_layer_end_index": 45}, 42),
    ],
)
def test_layers_with_experts(change: dict[str, Any], layers: int) -> None:
    found = described(config("qwen3-30b-a3b") | change).experts
    assert found is not None
    assert found.layers == layers


def test_yarn_lengthens_the_context_as_the_engine_reckons() -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    for field in ("rope_scaling", "rope_parameters"):
        assert described(config("qwen3-4b") | {field: yarn}).max_context_length == 131072


def test_other_scaling_is_not_counted_twice() -> None:
    assert config("llama-3.1-70b")["rope_scaling"]["factor"] == 8.0
    assert described(config("llama-3.1-70b")).max_context_length == 131072


def test_wider_heads_of_the_global_layers_are_reckoned_for_all() -> None:
    data = config("gemma-3-1b") | {"model_type": "gemma4_text", "global_head_dim": 512}
    assert described(data).head_dim == 512
    saved_anew = config("gemma-3-1b") | {"per_layer_config": {"05": {"head_dim": 512}}}
    assert described(saved_anew).head_dim == 512
    fewer = data | {"num_key_value_heads": 4, "num_global_key_value_heads": 1}
    assert (described(fewer).head_dim, described(fewer).key_value_heads) == (256, 4)


def test_names_of_older_families() -> None:
    gpt2 = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": 1600,
        "n_head": 25,
        "n_layer": 48,
        "n_positions": 1024,
        "vocab_size": 50257,
    }
    model = described(gpt2)
    assert (model.layers, model.attention_heads, model.key_value_heads) == (48, 25, 25)
    assert (model.head_dim, model.intermediate_size, model.max_context_length) == (64, 6400, 1024)
    assert model.tied_embeddings


def test_multi_query_models_have_one_key_value_head() -> None:
    data = config("llama-2-7b") | {"model_type": "falcon", "multi_query": True}
    assert described(data).key_value_heads == 1
