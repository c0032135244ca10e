"""What one device holds: weights, overhead, KV cache, and what stays free."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.api.architecture import ModelDescription
from freehold.api.scalars import GIB
from freehold.plan.accelerator import Accelerator
from freehold.plan.engine_settings import EngineSettings
from freehold.plan.weights import weights_per_device

# Driver context and collectives 0.6 GiB, activations and captured graphs 1.7 GiB, and a part that
# grows with the weights (Kaito's nodesestimator: 2.3 GiB + 5 %). We take 4 %, since at 5 % the
# published Llama 3.1 70B FP8 on one H100 at 16k context (KubeAI) would be refused.
_OVERHEAD = 2.3 * GIB
_OVERHEAD_SHARE = 0.04
# A worker without an accelerator has no driver context; this is what its process takes beside
# weights and cache (interpreter, libraries, oneDNN buffers).
_CPU_OVERHEAD = 1.0 * GIB


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The memory of the fullest device of a replica, in bytes.

    Attributes:
        total: What the device has.
        usable: What the engine may take of it.
        weights: Weights.
        overhead: Activations, graphs, driver context.
        kv_cache: KV cache; 0 when weights and overhead already exceed ``usable``.
    """

    total: float
    usable: float
    weights: float
    overhead: float
    kv_cache: float

    @property
    def free(self) -> float:
        """Return what nobody takes."""
        return self.total - self.weights - self.overhead - self.kv_cache

    @property
    def left_for_kv_cache(self) -> float:
        """Return what weights and overhead leave; negative when they do not fit."""
        return self.usable - self.weights - self.overhead


def device_memory(
    model: ModelDescription,
    accelerator: Accelerator,
    settings: EngineSettings,
    tensor: int,
    pipeline: int,
) -> DeviceMemory:
    """Return the memory of the fullest device when its whole rest is KV cache."""
    weights = weights_per_device(model, tensor, pipeline)
    base = _CPU_OVERHEAD if accelerator.vendor == "cpu" else _OVERHEAD
    overhead = base + _OVERHEAD_SHARE * weights
    usable = accelerator.memory * settings.memory_utilization
    kv_cache = max(0.0, usable - weights - overhead)
    return DeviceMemory(accelerator.memory, usable, weights, overhead, kv_cache)
