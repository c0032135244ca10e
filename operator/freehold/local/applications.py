"""What Serve says of our applications, read; and configs for a Ray that others use too."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from freehold.errors import RayUnavailable

RUNNING = "RUNNING"


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One replica of a model's server deployment.

    Attributes:
        id: Serve's id of it; a new engine has a new one.
        state: STARTING, RUNNING, STOPPING and so on.
        pid: Process id on its node; None while it has none.
        worker: Ray's id of that process, which names its output; "" while it has none.
    """

    id: str
    state: str
    pid: int | None
    worker: str


@dataclass(frozen=True, slots=True)
class ApplicationState:
    """One application as Serve sees it.

    Attributes:
        status: NOT_STARTED, DEPLOYING, RUNNING, DEPLOY_FAILED, UNHEALTHY or DELETING; "" if
            Serve does not know it.
        message: Serve's words on it and on its deployments, where it has any.
        target: Replicas that Serve wants of the model's server.
        replicas: Those it has.
    """

    status: str = ""
    message: str = ""
    target: int = 0
    replicas: tuple[ReplicaState, ...] = ()

    @property
    def running(self) -> int:
        """Return the replicas that run."""
        return sum(replica.state == RUNNING for replica in self.replicas)

    @property
    def failed(self) -> bool:
        """Return whether Serve has given up on it."""
        return self.status == "DEPLOY_FAILED"


def application_state(details: Mapping[str, Any], name: str, server: str) -> ApplicationState:
    """Return the state of the application ``name`` whose model the deployment ``server`` runs."""
    application = (details.get("applications") or {}).get(name)
    if application is None:
        return ApplicationState()
    deployments = application.get("deployments") or {}
    deployment = deployments.get(server) or {}
    words = [application.get("message") or ""]
    words += [item.get("message") or "" for item in deployments.values()]
    return ApplicationState(
        status=application.get("status") or "",
        message="\n".join(word for word in words if word),
        target=int(deployment.get("target_num_replicas") or 0),
        replicas=tuple(_replica(item) for item in deployment.get("replicas") or ()),
    )


def _replica(item: Mapping[str, Any]) -> ReplicaState:
    return ReplicaState(
        id=str(item.get("replica_id") or ""),
        state=str(item.get("state") or ""),
        pid=item.get("pid"),
        worker=str(item.get("worker_id") or ""),
    )


def failed_starts(state: ApplicationState) -> int:
    """Return how often in a row Serve says that the model's server failed to start.

    While it still tries again Serve names no count; that is at least once.
    """
    found = [int(count) for count in re.findall(r"failed to start (\d+) times", state.message)]
    again = "A replica failed to start with exception. Retrying" in state.message
    return max([*found, int(again)])


def merged_config(
    details: Mapping[str, Any], ours: Iterable[Mapping[str, Any]], owned: Iterable[str]
) -> dict[str, Any]:
    """Return the config that changes our applications and leaves all others as they are.

    Args:
        details: What Serve says now.
        ours: Our applications.
        owned: Names of applications that we have put there before.

    Raises:
        RayUnavailable: When an application of somebody else cannot be sent back unchanged, or
            stands where one of ours would go.
    """
    mine, owned = list(ours), set(owned)
    names = owned | {application["name"] for application in mine}
    others = []
    for name, application in sorted((details.get("applications") or {}).items()):
        if name in owned:
            continue
        _refuse_collision(name, application, mine, names)
        if application.get("source") == "imperative":
            continue  # deployed from Python: a declared config neither lists nor removes it
        others.append(_sent_back(name, application))
    config: dict[str, Any] = {"applications": [*others, *copy.deepcopy(mine)]}
    for key in ("proxy_location", "http_options", "grpc_options", "target_capacity"):
        if details.get(key) is not None:
            config[key] = details[key]
    return config


def _refuse_collision(
    name: str, application: Mapping[str, Any], mine: list[Mapping[str, Any]], names: set[str]
) -> None:
    if name in names:
        raise RayUnavailable(
            f"this Ray already serves an application named {name!r} that is not ours; "
            f"rename the ModelDeployment (metadata.name) or remove that application"
        )
    routes = {item["route_prefix"] for item in mine}
    if application.get("route_prefix") in routes:
        raise RayUnavailable(
            f"this Ray already serves the application {name!r} under "
            f"{application['route_prefix']!r}, where a model of ours would answer; remove that "
            f"application, or take another Ray"
        )


def _sent_back(name: str, application: Mapping[str, Any]) -> dict[str, Any]:
    config = application.get("deployed_app_config")
    if not config or application.get("status") == "DELETING":
        raise RayUnavailable(
            f"the application {name!r} on this Ray cannot be sent back unchanged (Serve does not "
            f"tell its config while it is {application.get('status')}); try again when it is "
            f"settled"
        )
    return dict(config)


def restarts_replicas(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what differs between two configs of an application that makes replicas restart.

    Serve takes ``deployments`` in place, but for placement and actor options; everything else is
    the application's code to it.
    """
    code = ("import_path", "args", "runtime_env", "route_prefix")
    changed = [key for key in code if old.get(key) != new.get(key)]
    if "args" in changed:
        changed.remove("args")
        changed += _changed_arguments(old, new)
    return tuple(changed)


def _changed_arguments(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = (item["args"]["llm_configs"][0] for item in (old, new))
    flat = []
    for key in sorted({*before, *after}):
        first, second = before.get(key), after.get(key)
        if first == second:
            continue
        if isinstance(first, dict) and isinstance(second, dict):
            names = sorted(n for n in {*first, *second} if first.get(n) != second.get(n))
            flat += [f"{key}.{name}" for name in names]
        else:
            flat.append(key)
    return flat
