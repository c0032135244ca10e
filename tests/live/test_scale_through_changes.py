"""What Ray's own autoscaling makes of a deployment's replicas when its config changes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from tests.unit.render.rendered import planned, server_of

with warnings.catch_warnings():
    # Ray's own modules warn as they are imported.
    warnings.simplefilter("ignore")
    from ray.serve._private.autoscaling_state import DeploymentAutoscalingState
    from ray.serve._private.common import DeploymentID
    from ray.serve._private.config import DeploymentConfig, ReplicaConfig
    from ray.serve._private.deployment_info import DeploymentInfo
    from ray.serve.config import AutoscalingConfig

pytestmark = pytest.mark.filterwarnings("ignore")
# What Serve calls the replicas of a deployment that it does not have yet.
NONE_YET = -1


def deployed(most: int, **more: Any) -> DeploymentInfo:
    """Return a deployment with the block that is rendered for one to ``most`` replicas."""
    item = planned(autoscaling={"minReplicas": 1, "maxReplicas": most})
    block = server_of(item)["autoscaling_config"] | more
    return DeploymentInfo(
        deployment_config=DeploymentConfig(autoscaling_config=AutoscalingConfig(**block)),
        replica_config=ReplicaConfig.create(lambda: None),
        start_time_ms=0,
        deployer_job_id="",
        version="1",
    )


def test_what_load_has_scaled_up_stays_through_a_change_of_bounds() -> None:
    state = DeploymentAutoscalingState(DeploymentID("server", "llama"))
    assert state.register(deployed(3), NONE_YET) == 1
    assert state.register(deployed(4), 3) == 3


def test_a_change_goes_back_to_initial_replicas_where_they_are_told() -> None:
    state = DeploymentAutoscalingState(DeploymentID("server", "llama"))
    assert state.register(deployed(3, initial_replicas=1), NONE_YET) == 1
    assert state.register(deployed(4, initial_replicas=1), 3) == 1


def test_what_a_cluster_began_with_can_be_taken_away() -> None:
    state = DeploymentAutoscalingState(DeploymentID("server", "llama"))
    assert state.register(deployed(4, initial_replicas=3), NONE_YET) == 3
    assert state.register(deployed(4), 3) == 3
