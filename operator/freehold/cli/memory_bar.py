"""A bar of one device's memory, told apart by fill characters so that colour is only a help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from freehold.api.scalars import GIB
from freehold.plan.device_memory import DeviceMemory

WIDTH = 60


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a device's memory.

    Attributes:
        name: What it is.
        size: Bytes.
        shaded: Its fill where block characters can be shown.
        plain: Its fill elsewhere.
        style: Its colour.
    """

    name: str
    size: float
    shaded: str
    plain: str
    style: str

    def fill(self, shaded: bool) -> str:
        """Return the fill character."""
        return self.shaded if shaded else self.plain


def parts(memory: DeviceMemory) -> list[Part]:
    """Return what a device holds, weights first; nothing is left out that takes memory."""
    held = [
        Part("weights", memory.weights, "█", "#", "cyan"),
        Part("overhead", memory.overhead, "▓", "+", "yellow"),
        Part("KV cache", memory.kv_cache, "▒", "=", "green"),
        Part("kept free", memory.free, "░", ".", "dim"),
    ]
    return [part for part in held if part.size > 0]


def fits(memory: DeviceMemory) -> bool:
    """Return whether weights and overhead leave anything."""
    return memory.left_for_kv_cache > 0


def bar(memory: DeviceMemory, shaded: bool) -> Text:
    """Return the bar; where too much is asked, ``|`` stands at what the engine may use."""
    held = parts(memory)
    text = Text(no_wrap=True)
    for part, length in zip(held, _lengths([part.size for part in held]), strict=True):
        text.append(part.fill(shaded) * length, part.style)
    if not fits(memory):
        limit = round(WIDTH * memory.usable / sum(part.size for part in held))
        text = Text.assemble(text[:limit], ("|", "bold red"), text[limit:])
    return text


def legend(memory: DeviceMemory, shaded: bool) -> Text:
    """Return the figures of the bar, in GiB, each behind its fill character."""
    text = Text()
    for part in parts(memory):
        text.append(f"{part.fill(shaded)} ", part.style)
        text.append(f"{part.name} {part.size / GIB:.1f}  ")
    text.append("GiB")
    return text


def _lengths(sizes: Sequence[float]) -> list[int]:
    """Return how many of ``WIDTH`` characters each size takes: at least one if it is anything."""
    total = sum(sizes)
    exact = [WIDTH * size / total for size in sizes]
    lengths = [max(1, int(length)) if length > 0 else 0 for length in exact]
    while sum(lengths) != WIDTH:
        step = 1 if sum(lengths) < WIDTH else -1
        gaps = [step * (wanted - length) for wanted, length in zip(exact, lengths, strict=True)]
        able = [i for i in range(len(sizes)) if step > 0 or lengths[i] > 1]
        lengths[max(able, key=lambda i: gaps[i])] += step
    return lengths
