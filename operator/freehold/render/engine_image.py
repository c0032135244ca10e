"""The container image that runs the engine on a class of accelerator."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.plan import Plan

ENGINE = "vllm"
RAY_VERSION = "2.60.0"


@dataclass(frozen=True, slots=True)
class NoEngineImage(Fault):
    """Nobody named an image for the class; inventing one would only fail later, in a pod."""


def engine_image(model: ModelDeployment, plan: Plan) -> str | NoEngineImage:
    """Return the image for the plan's class: the user's own, else the one that the class names."""
    for own in (model.spec.engine.images if model.spec.engine else None) or ():
        if own.accelerator == plan.accelerator.name:
            return own.image
    for image in plan.accelerator.spec.images or ():
        if image.engine == ENGINE and image.ray_version == RAY_VERSION:
            return image.image
    return NoEngineImage(
        path="spec.engine.images",
        found=f"no image for the accelerator {plan.accelerator.name}",
        allowed=f"an image with {ENGINE} and Ray {RAY_VERSION} for it, here or in its class",
        hint=f"Add {{accelerator: {plan.accelerator.name}, image: ...}} to spec.engine.images, or "
        f"an entry for {ENGINE} and {RAY_VERSION} to the class's spec.images.",
    )
