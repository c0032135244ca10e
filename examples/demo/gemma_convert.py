"""From the GGUF file of Gemma 3 270M to the folder layout that vLLM and transformers load."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_cache import DemoError

if TYPE_CHECKING:
    import torch
    from gguf import ReaderTensor

# llama.cpp's tensor names (gguf-py, gguf/constants.py) to those of transformers' Gemma3ForCausalLM.
TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}
LAYERS = 18
CONTEXT = 32768
PAD, EOS, BOS = 0, 1, 2
NEEDED = ("gguf", "safetensors", "tokenizers", "torch", "transformers")
FULL_ATTENTION_EVERY = 6


def require_packages() -> None:
    """Check for what the conversion imports, before a minute is spent.

    Raises:
        DemoError: a Python package is not installed.
    """
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise DemoError(
                f"the Python package {name} is not installed; "
                "install the project's 'cpu' extra into this environment"
            )


def tensor_name(gguf_name: str) -> str:
    """The transformers name of a GGUF tensor, such as `blk.0.attn_q.weight`.

    Raises:
        KeyError: the tensor is not one of a Gemma 3 text model.
    """
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", gguf_name)
    if layer:
        return f"model.layers.{layer[1]}.{LAYER_NAMES[layer[2]]}.weight"
    return f"{TOP_NAMES[gguf_name.removesuffix('.weight')]}.weight"


def model_config() -> dict[str, Any]:
    """The content of config.json: the architecture of google/gemma-3-270m, dense bfloat16.

    Every number but three is in the GGUF file's metadata; the 5:1 pattern of layers, the rotary
    base of the sliding layers (10,000) and the attention scale are Gemma 3's own (Gemma 3
    technical report, arXiv:2503.19786, section 2).
    """
    kinds = ["sliding_attention"] * (FULL_ATTENTION_EVERY - 1) + ["full_attention"]
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "dtype": "bfloat16",
        "vocab_size": 262144,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": CONTEXT,
        "sliding_window": 512,
        "layer_types": kinds * (LAYERS // FULL_ATTENTION_EVERY),
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "use_cache": True,
        "pad_token_id": PAD,
        "eos_token_id": EOS,
        "bos_token_id": BOS,
    }


def generation_config() -> dict[str, Any]:
    """Sampling defaults: the Gemma team's top-k and top-p, cooler, since a base model drifts."""
    return {
        "pad_token_id": PAD,
        "eos_token_id": EOS,
        "bos_token_id": BOS,
        "do_sample": True,
        "temperature": 0.7,
        "top_k": 64,
        "top_p": 0.95,
    }


def tokenizer_config() -> dict[str, Any]:
    """The content of tokenizer_config.json: a base model, so there is no chat template."""
    return {
        "tokenizer_class": "GemmaTokenizer",
        "model_max_length": CONTEXT,
        "add_bos_token": True,
        "add_eos_token": False,
        "pad_token": "<pad>",
        "eos_token": "<eos>",
        "bos_token": "<bos>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "clean_up_tokenization_spaces": False,
    }


def write_configs(folder: Path) -> None:
    """Write config.json, generation_config.json and tokenizer_config.json."""
    files = {
        "config.json": model_config(),
        "generation_config.json": generation_config(),
        "tokenizer_config.json": tokenizer_config(),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_tensors(gguf: Path) -> list[ReaderTensor]:
    """The tensors of a GGUF file, still quantised (memory-mapped)."""
    from gguf import GGUFReader

    return GGUFReader(gguf).tensors


def dense_tensors(
    tensors: list[ReaderTensor], advance: Callable[[int], None]
) -> dict[str, torch.Tensor]:
    """Dequantise to bfloat16 under transformers' names; `advance` gets each element count."""
    dense = {}
    for tensor in tensors:
        name = tensor_name(tensor.name)
        dense[name] = _dense(tensor, is_norm=name.endswith("norm.weight"))
        advance(int(tensor.n_elements))
    return dense


def _dense(tensor: ReaderTensor, *, is_norm: bool) -> torch.Tensor:
    import torch
    from gguf.quants import dequantize

    values = dequantize(tensor.data, tensor.tensor_type)
    # llama.cpp stores the norms' factor; transformers stores its distance from 1.
    return torch.from_numpy(values - 1 if is_norm else values).to(torch.bfloat16)


def write_weights(tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """Write model.safetensors; the output head is the embedding, so it is not stored twice.

    Raises:
        DemoError: the file system refused (the library does not say so with an OSError).
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    except SafetensorError as error:
        raise DemoError(f"the weights could not be written to {folder.parent}: {error}") from error


def write_tokenizer(gguf: Path, folder: Path) -> None:
    """Write tokenizer.json from the vocabulary in the GGUF file, made to put `<bos>` first.

    Gemma was trained with `<bos>` before every text and degenerates without it. A server encodes
    with special tokens on and adds nothing itself, so the file must say it.

    Raises:
        DemoError: the tokenizer made does not begin a text with `<bos>`.
    """
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    from tokenizers.processors import TemplateProcessing
    from transformers import GemmaTokenizer

    tokenizer = GemmaTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    backend = tokenizer.backend_tokenizer
    backend.post_processor = TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", BOS)]
    )
    if backend.encode("Once").ids[:1] != [BOS]:
        raise DemoError(
            "the tokenizer made from the model file does not add <bos>; "
            "install the transformers version that the project pins"
        )
    (folder / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
