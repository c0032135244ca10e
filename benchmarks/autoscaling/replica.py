"""What a replica can do: the time of an engine step, and the room for requests.

Step times are the form and the constants that were fitted to the measured kernels of NVIDIA's
AIConfigurator 0.12.0 (Apache-2.0; vLLM 0.24.0 on H100, 0.14.0 on A100 and L40S). KV cache sizes
follow from the memory that weights leave at a memory utilisation of 0.9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Kernels summed are faster than an engine end to end.
SLOWER_END_TO_END = 1.1


@dataclass(frozen=True, slots=True)
class StepTime:
    """``t = max(d0, p0 + p1 P + p2 P^2) + d1 B + d2 C / 1000``, in milliseconds.

    Attributes:
        p0: Of a step with prefill.
        p1: Of each prompt token P of the step.
        p2: Of its square.
        d0: Of a step without prefill.
        d1: Of each sequence B that decodes.
        d2: Of a thousand tokens of their context C.
    """

    p0: float
    p1: float
    p2: float
    d0: float
    d1: float
    d2: float

    def seconds(self, prompt: float, batch: float, context: float) -> float:
        """Return the time of one step.

        Args:
            prompt: Prompt tokens that are prefilled in it.
            batch: Sequences that decode.
            context: Tokens that those attend to, in all.
        """
        prefill = self.p0 + self.p1 * prompt + self.p2 * prompt**2 if prompt else 0.0
        return (max(self.d0, prefill) + self.d1 * batch + self.d2 * context / 1e3) / 1e3

    def times(self, factor: float) -> StepTime:
        """Return a step that takes ``factor`` of the time."""
        return StepTime(*(getattr(self, name) * factor for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Hardware:
    """A model on the devices of one replica.

    Attributes:
        title: For tables.
        devices: GPUs of a replica.
        step: How long an engine step takes.
        kv_tokens: Tokens that the KV cache holds.
        max_num_seqs: Requests that run at once.
        token_budget: Tokens of a step at the most, ``max_num_batched_tokens``.
        ahead: Whether a step is scheduled while the one before it runs: ``async_scheduling``, which
            is vLLM's default on GPUs, and which it turns off on cores.
    """

    title: str
    devices: int
    step: StepTime
    kv_tokens: int
    max_num_seqs: int = 256
    token_budget: int = 8192
    ahead: bool = True

    def slower(self, factor: float = SLOWER_END_TO_END) -> Hardware:
        """Return the same where every step takes ``factor`` of the time."""
        return replace(self, step=self.step.times(factor))


LLAMA_8B_L40S = Hardware(
    "8B bf16, L40S", 1, StepTime(17.2, 0.0512, 3.3e-6, 22.24, 0.0377, 0.1864), 180_000
)
LLAMA_8B_A100 = Hardware(
    "8B bf16, A100", 1, StepTime(7.74, 0.0546, 1.5e-6, 11.62, 0.030, 0.0825), 430_000
)
LLAMA_70B_H100 = Hardware(
    "70B bf16, 4 x H100", 4, StepTime(11.4, 0.05495, 1.0e-6, 15.20, 0.0323, 0.0264), 470_000
)
LLAMA_70B_FP8_H100 = Hardware(
    "70B fp8, 2 x H100", 2, StepTime(10.8, 0.0698, 9.7e-7, 16.92, 0.0343, 0.0521), 235_000
)
LLAMA_405B_H100 = Hardware(
    "405B fp8, 8 x H100", 8, StepTime(20.7, 0.1267, 1.3e-6, 26.56, 0.0881, 0.0215), 349_000
)
