"""The applications of one Ray cluster, as its Serve has them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.fake_ray.steering import Steering

# Serve's own name for the part of an LLM application that takes requests; all others serve the
# model.
_INGRESS = ("OpenAiIngress", "LLMRouter")


@dataclass(slots=True)
class Deployment:
    """One deployment: its name, its bounds, and the replicas that Serve wants of it.

    The first ``kept`` of them ran when the config was put, and run on while others start.
    """

    name: str
    low: int
    high: int
    replicas: list[str] = field(default_factory=list)
    kept: int = 0

    @property
    def serves_the_model(self) -> bool:
        return self.name not in _INGRESS

    def scale(self, target: int) -> None:
        """Have ``target`` replicas within the bounds; those that stay keep their ids."""
        target = max(self.low, min(target, self.high))
        while len(self.replicas) < target:
            self.replicas.append(secrets.token_hex(4))
        del self.replicas[target:]


@dataclass(slots=True)
class Application:
    """One application that was declared, at ``since`` seconds of the fake's clock.

    Where Serve has ``refused`` it, the deployments are those of the ``former`` one, which run on.
    """

    config: dict[str, Any]
    since: float
    deployments: list[Deployment]
    refused: bool = False
    former: Application | None = None

    @property
    def running(self) -> Application | None:
        """The application that runs, if any does."""
        return self.former if self.refused else self


def declared(
    old: Application | None,
    config: dict[str, Any],
    now: float,
    seconds: float,
    *,
    refused: bool = False,
) -> Application:
    """Return the application after ``config`` was put, of which Serve may make nothing.

    The same config again changes nothing. Another one under ``deployments`` keeps the replicas,
    which run on if they ran; any other change is new code to Serve, and all replicas are new.
    """
    if old is not None and old.refused and old.former is None and old.config == config:
        return old
    old = old.running if old is not None else None
    if refused:
        return Application(config, now, old.deployments if old else [], True, old)
    if old is not None and old.config == config:
        return old
    same_code = old is not None and _code(old.config) == _code(config)
    kept = {item.name: item for item in old.deployments} if old and same_code else {}
    deployments = [_deployment(item, kept) for item in _declared_deployments(config)]
    if old is not None and now - old.since >= seconds:
        for part in deployments:
            before = kept.get(part.name)
            part.kept = min(len(before.replicas), len(part.replicas)) if before else 0
    return Application(config, now, deployments)


def _code(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "deployments"}


def _declared_deployments(config: dict[str, Any]) -> list[dict[str, Any]]:
    named = config.get("deployments") or []
    if any(item["name"] not in _INGRESS for item in named):
        return list(named)
    models = (config.get("args") or {}).get("llm_configs") or []
    ids = [item["model_loading_config"]["model_id"] for item in models] or [config["name"]]
    servers = [{"name": f"LLMServer:{id.replace('/', '--').replace('.', '_')}"} for id in ids]
    return [*servers, *(named or [{"name": _INGRESS[0]}])]


def _deployment(config: dict[str, Any], kept: dict[str, Deployment]) -> Deployment:
    scaling = config.get("autoscaling_config")
    fixed = int(config.get("num_replicas") or 1)
    low, high = (fixed, fixed)
    if scaling is not None:
        low, high = int(scaling.get("min_replicas", 1)), int(scaling.get("max_replicas", 1))
    found = Deployment(config["name"], low, high)
    old, initial = kept.get(found.name), (scaling or {}).get("initial_replicas")
    found.replicas = list(old.replicas) if old else []
    # where that is told, another config goes back to what a deployment begins with
    found.scale(len(found.replicas) if initial is None else int(initial))
    return found


@dataclass(frozen=True, slots=True)
class Phase:
    """Where an application stands.

    Attributes:
        status: As Serve says it.
        message: Serve's words.
        built: Whether Serve has built it, so that it names its deployments.
    """

    status: str
    message: str
    built: bool


def phase(application: Application, steering: Steering, now: float, seconds: float) -> Phase:
    """Return where an application stands that takes ``seconds`` to come up."""
    if application.refused:
        return Phase("DEPLOY_FAILED", steering.message or "ValueError: it is refused", False)
    if steering.status is not None:
        built = steering.status not in ("DEPLOY_FAILED", "NOT_STARTED")
        return Phase(steering.status, steering.message, built)
    elapsed = now - application.since
    if elapsed >= seconds:
        return Phase("RUNNING", "", True)
    known = any(part.kept for part in application.deployments)
    return Phase("DEPLOYING", "", known or elapsed >= seconds / 2)
