"""Scaling settings of a Serve deployment: every value written, none left to a default.

Ray Serve LLM's own defaults (a target of 1e9) switch autoscaling off, a block under
``deployments[]`` replaces the builder's whole, and ``num_replicas`` does not remove it; so a fixed
count, too, is a complete autoscaling block with equal bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freehold.api.modeldeployment import ModelDeploymentSpec
from freehold.api.scalars import duration_seconds

DEFAULT_QUEUE_DEPTH = 2
# Of a hundred replicas, those that start beside the ones that they replace: a Deployment's default.
_SURGE_PERCENT = 25
# Of every model, whatever its bounds: replicas start anew when a policy comes or goes.
_POLICY = "freehold.serving.scaling:FollowQueue"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast replicas follow the load, in seconds.

    Attributes:
        look_back: Span over which the load is averaged; Serve wants more than the 10 s of its
            (here unused) metrics interval.
        upscale_delay: How long the load must ask for more.
        downscale_delay: How long it must ask for less; long, since a cold start costs minutes.
        to_zero_delay: How long a model must be idle to lose its last replica, where nobody said.
    """

    look_back: float = 11.0
    upscale_delay: float = 5.0
    downscale_delay: float = 300.0
    to_zero_delay: float = 600.0


def replica_bounds(spec: ModelDeploymentSpec) -> tuple[int, int]:
    """Return the least and the most replicas; a suspended model has none."""
    if spec.suspend:
        return 0, 0
    if spec.autoscaling is not None:
        return spec.autoscaling.min_replicas, spec.autoscaling.max_replicas
    count = 1 if spec.replicas is None else spec.replicas
    return count, count


def surge_percent(spec: ModelDeploymentSpec) -> int:
    """Return how many of a hundred replicas start beside those that they replace.

    BlueGreen serves from the old until the new answers; Recreate frees the hardware first.
    """
    return 0 if spec.recreates else _SURGE_PERCENT


def surge(spec: ModelDeploymentSpec) -> int:
    """Return the replicas that stand beside all others at the most while they are replaced.

    The share of the most that there may be, rounded up as Serve does
    (``serve/_private/deployment_state.py: _surge_replicas_to_start`` in Ray 2.60).
    """
    return -(-replica_bounds(spec)[1] * surge_percent(spec) // 100)


def queue_depth(spec: ModelDeploymentSpec) -> int:
    """Return the requests that may wait at a replica before another one is wanted."""
    target = spec.autoscaling.target if spec.autoscaling else None
    if target is None or target.queue_depth is None:
        return DEFAULT_QUEUE_DEPTH
    return target.queue_depth


def autoscaling_config(spec: ModelDeploymentSpec, concurrency: int, pace: Pace) -> dict[str, Any]:
    """Return the complete block for a deployment whose replicas run ``concurrency`` requests.

    Serve counts running and waiting requests together, so a queue depth is a target of that much
    more than a replica runs: load that fits one replica never adds another.

    All but ``initial_replicas``, to which Serve goes back at any change of a deployment, however
    many replicas run (``serve/_private/autoscaling_state.py: register`` in Ray 2.60). Without it a
    deployment begins with its least and keeps what it has.
    """
    least, most = replica_bounds(spec)
    to_zero = spec.autoscaling.scale_to_zero_after if spec.autoscaling else None
    return {
        "min_replicas": least,
        "max_replicas": most,
        "target_ongoing_requests": concurrency + queue_depth(spec),
        "look_back_period_s": pace.look_back,
        "upscale_delay_s": pace.upscale_delay,
        "downscale_delay_s": pace.downscale_delay,
        "downscale_to_zero_delay_s": duration_seconds(to_zero) if to_zero else pace.to_zero_delay,
        "upscaling_factor": 1.0,
        "downscaling_factor": 1.0,
        "aggregation_function": "mean",
        "policy": {"policy_function": _POLICY},
    }
