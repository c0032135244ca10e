"""What the dashboard of Ray 2.60 says of Serve, in the shape of its ServeInstanceDetails."""

from __future__ import annotations

from typing import Any

from tests.fake_ray.serve import Application, Deployment, Phase
from tests.fake_ray.steering import Steering

_NODE = "f4ce00f4ce00"
_OF_DEPLOYMENTS = {"RUNNING": "HEALTHY", "UNHEALTHY": "UNHEALTHY"}


def instance(applications: dict[str, dict[str, Any]], put: dict[str, Any] | None) -> dict[str, Any]:
    """Return the whole; ``put`` is the config that was put last, None before the first."""
    if put is None:
        return {"applications": {}, "proxies": {}, "controller_info": {}}
    return {
        "controller_info": {"node_id": _NODE, "actor_name": "SERVE_CONTROLLER_ACTOR"},
        "proxy_location": put.get("proxy_location", "EveryNode"),
        "http_options": {"host": "0.0.0.0", "port": 8000} | (put.get("http_options") or {}),
        "grpc_options": None,
        "proxies": {_NODE: {"node_id": _NODE, "status": "HEALTHY"}},
        "applications": applications,
        "target_capacity": None,
    }


def application(item: Application, phase: Phase, steering: Steering) -> dict[str, Any]:
    """Return one application."""
    deployments = item.deployments if phase.built else []
    return {
        "name": item.config["name"],
        "route_prefix": item.config.get("route_prefix", "/"),
        "docs_path": None,
        "status": phase.status,
        "message": phase.message,
        "last_deployed_time_s": item.since,
        "deployed_app_config": item.config,
        "source": "declarative",
        "deployments": {
            part.name: _deployment(item, part, phase, steering) for part in deployments
        },
        "external_scaler_enabled": False,
        "deployment_topology": None,
    }


def _deployment(
    item: Application, part: Deployment, phase: Phase, steering: Steering
) -> dict[str, Any]:
    running = len(part.replicas)
    if part.serves_the_model and steering.running is not None:
        running = min(running, steering.running)
    if phase.status == "DEPLOYING":
        running = min(running, part.kept)
    status = _OF_DEPLOYMENTS.get(phase.status, "UPDATING")
    if status == "HEALTHY" and running < len(part.replicas):
        status = "UPSCALING"
    return {
        "status": status,
        "status_trigger": "CONFIG_UPDATE_COMPLETED",
        "message": "",
        "deployment_config": {"name": part.name},
        "target_num_replicas": len(part.replicas),
        "required_resources": {"CPU": 1},
        "replicas": [
            _replica(item.config["name"], part.name, id, index < running)
            for index, id in enumerate(part.replicas)
        ],
        "recent_dead_replicas": [],
    }


def _replica(application: str, deployment: str, id: str, runs: bool) -> dict[str, Any]:
    return {
        "replica_id": id,
        "state": "RUNNING" if runs else "STARTING",
        "node_id": _NODE,
        "node_ip": "10.0.0.1",
        "actor_id": f"actor-{id}",
        "actor_name": f"SERVE_REPLICA::{application}#{deployment}#{id}",
        "worker_id": f"worker-{id}" if runs else None,
        "pid": int(id, 16) % 100_000 if runs else None,
        "start_time_s": 0.0,
        "log_file_path": f"/serve/replica_{application}_{deployment.replace(':', '_')}_{id}.log",
    }
