"""What Ray Serve's dashboard says of itself, in the shape of its ServeInstanceDetails."""

from __future__ import annotations

from typing import Any

SERVER = "FreeholdServer:chat"


def pid_of(id: str) -> int:
    return 1000 + ord(id[0])


def replica(id: str, state: str = "RUNNING") -> dict[str, Any]:
    return {
        "replica_id": id,
        "state": state,
        "node_id": "5f0d1a",
        "node_ip": "127.0.0.1",
        "actor_id": f"actor-{id}",
        "actor_name": f"SERVE_REPLICA::chat#{SERVER}#{id}",
        "worker_id": f"worker-of-{id}",
        "pid": pid_of(id),
        "start_time_s": 1795332000.0,
        "log_file_path": f"/serve/replica_chat_{SERVER.replace(':', '_')}_{id}.log",
    }


def deployment(
    *replicas: dict[str, Any], target: int = 1, message: str = "", status: str = "HEALTHY"
) -> dict[str, Any]:
    return {
        "status": status,
        "status_trigger": "CONFIG_UPDATE_COMPLETED",
        "message": message,
        "deployment_config": {"max_ongoing_requests": 259},
        "target_num_replicas": target,
        "required_resources": {"CPU": 1},
        "replicas": list(replicas),
        "recent_dead_replicas": [],
    }


def application(
    name: str = "chat",
    status: str = "RUNNING",
    *,
    route: str = "/",
    message: str = "",
    source: str = "declarative",
    config: dict[str, Any] | None = None,
    deployments: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "route_prefix": route,
        "docs_path": None,
        "status": status,
        "message": message,
        "last_deployed_time_s": 1795332000.0,
        "deployed_app_config": config,
        "source": source,
        "deployments": deployments or {},
        "external_scaler_enabled": False,
        "deployment_topology": None,
    }


def details(*applications: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "controller_info": {"node_id": "5f0d1a", "actor_name": "SERVE_CONTROLLER_ACTOR"},
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": 8000},
        "grpc_options": None,
        "proxies": {"5f0d1a": {"status": "HEALTHY"}},
        "applications": {item["name"]: item for item in applications},
        "target_capacity": None,
        **more,
    }
