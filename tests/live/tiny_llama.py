"""A random-weight Llama of a few megabytes, for tests where the text does not matter."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

CONTEXT = 2048
PAD, BOS, EOS = "<pad>", "<s>", "</s>"
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2
SMALLEST_VOCAB = 3 + 256
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# Repeated pairs give the trainer its merges; every other byte is a token of its own.
CORPUS = (
    "the quick brown fox jumps over the lazy dog while a small model says the same words again",
    "once upon a time there was a server that gave an answer to every question that was asked",
    "user: hello there, how are you today? assistant: all is well, thank you for asking me that",
    "0123456789 tokens of text, replicas of a model, workers of a group, pages of a cache",
)


def make_tiny_llama(
    folder: Path,
    *,
    layers: int = 4,
    hidden: int = 256,
    heads: int = 8,
    kv_heads: int = 4,
    vocab: int = 512,
    seed: int = 0,
) -> Path:
    """Write a bfloat16 `LlamaForCausalLM` with its tokenizer to `folder`, and return `folder`.

    The files are the same, byte for byte, for the same arguments. Any text encodes (byte-level
    BPE), `<s>` is put first, and a chat template makes /v1/chat/completions work.

    Raises:
        ValueError: the sizes do not divide, or `vocab` has no room for 256 bytes and 3 specials.
    """
    if hidden % heads or heads % kv_heads:
        raise ValueError(
            f"hidden={hidden} must be a multiple of heads={heads}, "
            f"and heads a multiple of kv_heads={kv_heads}"
        )
    if vocab < SMALLEST_VOCAB:
        raise ValueError(f"vocab={vocab} is too small; at least {SMALLEST_VOCAB}")
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(layers, hidden, heads, kv_heads, vocab)
    _write_weights(folder, _weights(config, seed))
    _tokenizer(vocab).save(str(folder / "tokenizer.json"))
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", _generation_config())
    _write_json(folder / "tokenizer_config.json", _tokenizer_config())
    return folder


def _config(layers: int, hidden: int, heads: int, kv_heads: int, vocab: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "pad_token_id": PAD_ID,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
    }


def _layer_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of one layer, as (out, in), under transformers' names."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    return {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }


def _shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    ends = (config["vocab_size"], config["hidden_size"])
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens": ends}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        shapes.update({prefix + name: shape for name, shape in _layer_shapes(config).items()})
    return {**shapes, "model.norm": (config["hidden_size"],), "lm_head": ends}


def _weights(config: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {f"{name}.weight": _tensor(shape, generator) for name, shape in _shapes(config).items()}


def _tensor(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Norms are ones; matrices are drawn so that activations keep their scale."""
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    values: torch.Tensor = torch.randn(shape, generator=generator) * (1.0 / math.sqrt(shape[1]))
    return values.to(torch.bfloat16)


def _write_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write the weights and, as sharded models have it, the index that states their size."""
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {
        "metadata": {"total_size": size},
        "weight_map": dict.fromkeys(sorted(tensors), "model.safetensors"),
    }
    _write_json(folder / "model.safetensors.index.json", index)


def _tokenizer(vocab: int) -> Tokenizer:
    """A byte-level BPE tokenizer of exactly `vocab` tokens, trained on the corpus above.

    Random weights sample every id, so ids that the corpus leaves over get a name too.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocab,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[(BOS, BOS_ID)]
    )
    tokenizer.add_tokens([f"<unused{n}>" for n in range(tokenizer.get_vocab_size(), vocab)])
    return tokenizer


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "add_bos_token": True,
        "pad_token": PAD,
        "bos_token": BOS,
        "eos_token": EOS,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
    }


def _generation_config() -> dict[str, Any]:
    return {"pad_token_id": PAD_ID, "bos_token_id": BOS_ID, "eos_token_id": EOS_ID}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
