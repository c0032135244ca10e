"""The status of a ModelDeployment: what was decided and what is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from freehold.api.base import ApiModel
from freehold.api.scalars import Count, Duration, PositiveCount, Quantity, whole_number

# So that no status comes near the size that the API server refuses, whatever others' messages say.
LONGEST_MESSAGE = 1024
MOST_ITEMS = 8
# The observed generation of a status that no operator has written yet, as in Flux.
UNSEEN = -1


class Condition(ApiModel):
    """One aspect of the object's state, in the Kubernetes convention."""

    type: str = Field(description="Aspect that the condition speaks of.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="Documented one-word reason.")
    message: str = Field(
        max_length=LONGEST_MESSAGE, description="One or two sentences for a person."
    )
    observed_generation: Count | None = Field(
        default=None, description="Generation of the spec that the condition speaks of."
    )
    last_transition_time: str = Field(
        description="When the status last changed.", json_schema_extra={"format": "date-time"}
    )


class HourlyCost(ApiModel):
    """List price of one replica for one hour."""

    amount: str = Field(description="Decimal amount.")
    currency: str = Field(description="ISO 4217 code.")


class RejectedCandidate(ApiModel):
    """A candidate that was passed over."""

    candidate: str = Field(description="Name of the candidate.")
    reason: str = Field(
        description="One-word reason: NoSuchNodes (the cluster has none for it), NoEngineImage, "
        "DoesNotFit, InvalidParallelism, UnsupportedFormat, ContextTooLong, or NotChosen (it would "
        "do; another one was taken)."
    )
    message: str = Field(
        max_length=LONGEST_MESSAGE, description="Why, and what would have to change."
    )


class PlanStatus(ApiModel):
    """The plan that is frozen in the current revision."""

    candidate: str = Field(description="The chosen candidate.")
    accelerator: str = Field(description="Its AcceleratorClass.")
    tensor: PositiveCount = Field(description="Tensor parallel size.")
    pipeline: PositiveCount = Field(description="Pipeline parallel size.")
    nodes: PositiveCount = Field(description="Nodes that one replica spans.")
    weights_per_device: Quantity = Field(description="Weights on the fullest device.")
    kv_cache_tokens: Count = Field(description="Tokens that one replica's KV cache holds.")
    context_length: PositiveCount = Field(description="Longest request in tokens.")
    hourly_cost: HourlyCost | None = Field(
        default=None, description="List price of one replica, where it is known."
    )
    rejected: tuple[RejectedCandidate, ...] | None = Field(
        default=None,
        max_length=MOST_ITEMS,
        description="Candidates that were passed over, sorted by name; where there are more, those "
        "that cannot be had before those that were not chosen.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["candidate"],
        },
    )


class Address(ApiModel):
    """Where the model answers."""

    name: str = Field(description="Protocol of the address.")
    url: str = Field(description="Base URL.")


class LearnedRates(ApiModel):
    """What the scaling policy has learned of a replica."""

    prompt_tokens_per_second: Count = Field(
        description="Prompt tokens that a replica works off, if it does nothing else."
    )
    generated_tokens_per_second: Count = Field(
        description="Tokens that a replica generates, as many requests running as fit."
    )
    cold_start: Duration | None = Field(
        default=None, description="Time until a replica that is asked for answers."
    )


class Scaling(ApiModel):
    """The load, and what was decided of it."""

    reason: str = Field(
        description="The last decision in a word: ScalingUp, ScalingDown, Holding, Waking (the "
        "first replica starts), Idle (none is wanted), NoMetrics (no replica tells anything) or "
        "StartsOverdue (replicas that were asked for do not come)."
    )
    message: str = Field(
        max_length=LONGEST_MESSAGE, description="A sentence with the numbers that decided."
    )
    queued: Count | None = Field(default=None, description="Requests that wait.")
    running: Count | None = Field(default=None, description="Requests that engines run.")
    desired: Count | None = Field(default=None, description="Replicas that were decided on.")
    ready: Count | None = Field(default=None, description="Replicas that answered then.")
    starting: Count | None = Field(default=None, description="Replicas that start.")
    learned: LearnedRates | None = Field(
        default=None, description="What the decision was based on."
    )


class WorkloadReference(ApiModel):
    """An object that serves the model."""

    name: str = Field(description="Name of the object.")
    kind: str = Field(description="Kind of the object.")
    revision: str = Field(description="Revision that it serves.")
    ready: bool = Field(description="Whether it answers.")


class ModelDeploymentStatus(ApiModel):
    """What is."""

    observed_generation: (
        Annotated[int, Field(ge=UNSEEN, le=2**31 - 1), BeforeValidator(whole_number)] | None
    ) = Field(
        default=None, description="Generation of the spec that the status speaks of; -1: of none."
    )
    conditions: tuple[Condition, ...] | None = Field(
        default=None,
        max_length=16,
        description="Ready, Reconciling, Stalled, Planned, Placed, Serving, Scaled.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    addresses: tuple[Address, ...] | None = Field(
        default=None,
        max_length=MOST_ITEMS,
        description="Where the model answers.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    current_revision: str | None = Field(
        default=None, description="ControllerRevision that serves."
    )
    update_revision: str | None = Field(
        default=None,
        description="ControllerRevision that the spec asks for: being rolled out, or given up.",
    )
    plan: PlanStatus | None = Field(
        default=None, description="The plan of the revision that stands."
    )
    replicas: Count | None = Field(default=None, description="Replicas that exist.")
    ready_replicas: Count | None = Field(default=None, description="Replicas that answer.")
    desired_replicas: Count | None = Field(default=None, description="Replicas that are wanted.")
    selector: str | None = Field(default=None, description="Label selector of the pods.")
    scaling: Scaling | None = Field(
        default=None,
        description="The load, and why there are as many replicas; at most a minute old.",
    )
    workloads: tuple[WorkloadReference, ...] | None = Field(
        default=None,
        max_length=MOST_ITEMS,
        description="Objects that serve the model.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
