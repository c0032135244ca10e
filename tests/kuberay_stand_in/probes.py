"""The probes that KubeRay gives Ray's containers, where the templates have none of their own."""

from __future__ import annotations

from typing import Any

from tests.kuberay_stand_in.api import Object
from tests.kuberay_stand_in.ray_start import AGENT_PORT

_LIVENESS = {"failureThreshold": 120, "initialDelaySeconds": 30}
_READINESS = {"failureThreshold": 10, "initialDelaySeconds": 10}
# Ray has an endpoint for the health of a whole node since then
_FIRST_WITH_HEALTHZ = (2, 53)


def set_probes(container: Object, type: str, parameters: dict[str, str], ray: str) -> None:
    """Give a container the probes that it lacks.

    Args:
        container: Ray's container.
        type: ``head`` or ``worker``.
        parameters: Of ``ray start``.
        ray: Ray's version, as the RayCluster has it.
    """
    agent = int(parameters.get("dashboard-agent-listen-port", AGENT_PORT))
    node = [_fetch(2, agent, "api/local_raylet_healthz")]
    if type == "head":
        dashboard = int(parameters.get("dashboard-port", 8265))
        node.append(_fetch(10, dashboard, "api/gcs_healthz"))
    whole = {"httpGet": {"path": "/api/healthz", "port": agent}}
    check = whole if _has_healthz(ray) else _shell(node)
    timeout = {"periodSeconds": 5, "timeoutSeconds": 5 if type == "head" else 2}
    container.setdefault("livenessProbe", _LIVENESS | timeout | check)
    if type == "worker":
        # a worker is to answer requests as well
        serve = _port(container, "serve", 8000)
        check = _shell([*node, _fetch(10, serve, "-/healthz")]) | {"failureThreshold": 1}
    container.setdefault("readinessProbe", _READINESS | timeout | check)


def _has_healthz(ray: str) -> bool:
    parts = ray.split(".")[:2]
    return all(it.isdigit() for it in parts) and tuple(map(int, parts)) >= _FIRST_WITH_HEALTHZ


def _fetch(seconds: int, port: int, path: str) -> str:
    return f"wget --tries 1 -T {seconds} -q -O- http://localhost:{port}/{path} | grep success"


def _shell(commands: list[str]) -> dict[str, Any]:
    return {"exec": {"command": ["bash", "-c", " && ".join(commands)]}}


def _port(container: Object, name: str, default: int) -> int:
    found = [it["containerPort"] for it in container.get("ports") or [] if it.get("name") == name]
    return int(found[0]) if found else default
