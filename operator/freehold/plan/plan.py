"""The plan and the refusal: what planning answers with."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from freehold.api.architecture import ModelDescription
from freehold.plan.accelerator import Accelerator, Offer
from freehold.plan.device_memory import DeviceMemory
from freehold.plan.engine_settings import EngineSettings
from freehold.plan.layout import Layout


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that was passed over.

    Attributes:
        candidate: Its name.
        reason: One word: DoesNotFit, InvalidParallelism, UnsupportedFormat, ContextTooLong,
            NotChosen; on a cluster also NoSuchNodes, NoEngineImage.
        message: Why, with the numbers, and what would have to change.
        memory: The fullest device of the layout that came nearest, where memory decided.
    """

    candidate: str
    reason: str
    message: str
    memory: DeviceMemory | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How one replica runs.

    Attributes:
        candidate: Name of the chosen candidate; the worker group bears it.
        purchase: OnDemand or Spot.
        accelerator: The class it runs on.
        model: The model's shape.
        settings: What the engine arguments said.
        layout: Devices and nodes.
        memory: The fullest device.
        kv_cache_tokens: Tokens that the replica's KV cache holds, in requests of full context.
        context_length: Longest request in tokens.
        context_capped: Whether that is less than the model could, because no more fits.
        max_num_seqs: Sequences that run at once.
        offer: List price of one device, where one is known.
        notes: Sentences for the user.
        rejected: Candidates passed over before and after this one.
    """

    candidate: str
    purchase: str
    accelerator: Accelerator
    model: ModelDescription
    settings: EngineSettings
    layout: Layout
    memory: DeviceMemory
    kv_cache_tokens: int
    context_length: int
    context_capped: bool
    max_num_seqs: int
    offer: Offer | None
    notes: tuple[str, ...] = ()
    rejected: tuple[Rejection, ...] = ()

    @property
    def hourly_cost(self) -> Decimal | None:
        """Return the list price of one replica for one hour, in the offer's currency."""
        return self.offer.amount * self.layout.devices if self.offer else None


@dataclass(frozen=True, slots=True)
class NoPlan:
    """No candidate carries the model.

    Attributes:
        rejected: Every candidate with its reason.
    """

    rejected: tuple[Rejection, ...]

    def __str__(self) -> str:
        """Return every candidate with its message, a line each."""
        return "\n".join(f"  {item.candidate}: {item.message}" for item in self.rejected)
