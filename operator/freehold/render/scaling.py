"""Scaling settings of a Serve deployment: every value written, none left to a default.

Ray Serve LLM's own defaults (a target of 1e9) switch autoscaling off, a block under
``deployments[]`` replaces the builder's whole, and ``num_replicas`` does not remove it; so a fixed
count, too, is a complete autoscaling block with equal bounds.
"""

from __future__ import annotations

from typing import Any

from freehold.api.modeldeployment import ModelDeploymentSpec
from freehold.api.scalars import duration_seconds

DEFAULT_TIME_TO_FIRST_TOKEN = "2s"
DEFAULT_IDLE_TO_ZERO = "10m"
# Figures once a second, by the one field for it that Ray 2.60 reads: the two variables that are to
# take its place are read nowhere yet. What waits before engines counts at once, the most of the
# time that Serve looks back.
_INTERVAL_S, _LOOK_BACK_S = 1.0, 3.0
# Of a hundred replicas, those that start beside the ones that they replace: a Deployment's default.
_SURGE_PERCENT = 25
# Of every model, whatever its bounds: replicas start anew when a policy comes or goes.
_POLICY = "freehold.serving.scaling:FollowQueue"


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


def autoscaling_config(spec: ModelDeploymentSpec, concurrency: int) -> dict[str, Any]:
    """Return the complete block for a deployment whose replicas run ``concurrency`` requests.

    Serve takes whatever stands in ``policy`` for code, and starts every replica anew where it
    changes (``serve/_private/deploy_utils.py: get_app_code_version`` in Ray 2.60). What a user may
    change goes where Serve takes it in place, and the policy reads it there: the seconds to the
    first token are the target, which nothing else follows, and the time without a request is
    Serve's own delay. There are no other delays: the policy decides when.

    All but ``initial_replicas``, to which Serve goes back at any change of a deployment, however
    many replicas run (``serve/_private/autoscaling_state.py: register`` in Ray 2.60). Without it a
    deployment begins with its least and keeps what it has.
    """
    least, most = replica_bounds(spec)
    scaling = spec.autoscaling
    target = scaling.target if scaling else None
    bound = target.time_to_first_token if target else None
    idle = scaling.scale_to_zero_after if scaling else None
    return {
        "min_replicas": least,
        "max_replicas": most,
        "target_ongoing_requests": duration_seconds(bound or DEFAULT_TIME_TO_FIRST_TOKEN),
        "metrics_interval_s": _INTERVAL_S,
        "look_back_period_s": _LOOK_BACK_S,
        "upscale_delay_s": 0.0,
        "downscale_delay_s": 0.0,
        "downscale_to_zero_delay_s": duration_seconds(idle or DEFAULT_IDLE_TO_ZERO),
        "upscaling_factor": 1.0,
        "downscaling_factor": 1.0,
        "aggregation_function": "max",
        "policy": {"policy_function": _POLICY, "policy_kwargs": {"seats": concurrency}},
    }
