"""Bytes that requests take in the KV cache of the fullest device."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.api.architecture import ModelDescription
from freehold.plan.engine_settings import EngineSettings
from freehold.plan.weights import stage_layers

# vLLM hands out the cache in blocks of 16 tokens; a context that is no multiple wastes the rest.
BLOCK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class KVCacheCost:
    """What a token costs on one device.

    Attributes:
        per_token: Bytes for one token in the layers that attend to everything.
        per_local_token: Bytes for one token in the layers that attend to a window.
        window: Tokens that those layers keep for a request.
        batched_tokens: Tokens that a step may add before the window moves on.
    """

    per_token: int
    per_local_token: int
    window: int
    batched_tokens: int

    def bytes_for(self, requests: int, tokens: int) -> int:
        """Return the bytes that ``requests`` of ``tokens`` each need at once.

        Local layers keep their window and what one step adds, as
        ``vllm/v1/kv_cache_interface.py: SlidingWindowSpec.max_memory_usage_bytes`` reckons.
        """
        total = requests * tokens
        local = min(total, requests * min(tokens, self.window) + self.batched_tokens)
        return total * self.per_token + local * self.per_local_token

    def longest(self, available: float, limit: int) -> int:
        """Return the longest request, up to ``limit`` tokens, that fits in ``available`` bytes."""
        low, high = 0, limit
        while low < high:
            middle = (low + high + 1) // 2
            if self.bytes_for(1, middle) <= available:
                low = middle
            else:
                high = middle - 1
        return low if low == limit else low // BLOCK_TOKENS * BLOCK_TOKENS

    def capacity(self, available: float, context: int) -> int:
        """Return the tokens that ``available`` bytes hold in requests of ``context`` tokens."""
        return int(available / self.bytes_for(1, context) * context)


def kv_cache_cost(
    model: ModelDescription, settings: EngineSettings, tensor: int, pipeline: int
) -> KVCacheCost:
    """Return the cost of a token on the device with the most layers.

    With grouped-query attention: 2 x layers x max(1, KV heads / tensor) x head size x bytes, so
    beyond as many devices as KV heads the heads are replicated and nothing is saved. With latent
    attention every tensor-parallel rank keeps the whole vector (hardware formula of Kaito's
    model-sku-calculation; checked against vLLM's log in vllm-project/recipes#12).
    """
    layers = max(stage_layers(model.layers, pipeline))
    if model.latent_attention is not None:
        width = model.latent_attention.kv_lora_rank + model.latent_attention.rope_head_dim
    else:
        width = 2 * max(1, model.key_value_heads // tensor) * model.head_dim
    per_layer = width * settings.kv_bytes
    local = None if settings.windows_kept_whole else model.local_attention
    everywhere = model.layers - (local.layers if local else 0)
    full = min(layers, -(-everywhere * layers // model.layers))
    return KVCacheCost(
        per_token=full * per_layer,
        per_local_token=(layers - full) * per_layer,
        window=local.window if local else 0,
        batched_tokens=settings.batched_tokens,
    )
