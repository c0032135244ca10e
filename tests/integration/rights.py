"""The operator as the chart would run it: its rendered arguments, environment, account and rights.

What it asks of the API server is read from the server's audit log, so that nothing depends on what
the operator says of itself.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import Processes
from tests.installation.helm import rendered_objects
from tests.installation.operator_process import OperatorProcess, start_operator_process

Object = dict[str, Any]
ACCOUNT = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


class Right(NamedTuple):
    """What an account may do; a resource's subresource is part of its name."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def rights_of(objects: Iterable[Object]) -> set[Right]:
    """Return what the roles among the objects grant."""
    return {
        Right(group, resource, verb)
        for role in objects
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def without(objects: Iterable[Object], taken: Set[Right]) -> list[Object]:
    """Return the objects with some rights taken out of every role."""
    return [
        {**it, "rules": list(_rules_without(it["rules"], taken))} if "rules" in it else it
        for it in objects
    ]


def _rules_without(rules: Iterable[Object], taken: Set[Right]) -> Iterator[Object]:
    for rule in rules:
        for group, resource in itertools.product(rule["apiGroups"], rule["resources"]):
            verbs = [it for it in rule["verbs"] if Right(group, resource, it) not in taken]
            if verbs:
                yield {**rule, "apiGroups": [group], "resources": [resource], "verbs": verbs}


@dataclass
class Audit:
    """What one user asked of the API server since the beginning, read as the log grows.

    Attributes:
        log: The audit log.
        user: Whose requests count.
        used: Rights of the requests that were let through.
        denied: Rights of those that were not.
    """

    log: Path
    user: str
    used: set[Right] = field(default_factory=set)
    denied: set[Right] = field(default_factory=set)
    _read: int = 0

    def read(self) -> None:
        """Take in what was logged since the last call."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                if self.user.encode() in line:
                    self._take(json.loads(line))

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["user"]["username"] != self.user:
            return
        asked = event.get("objectRef") or {"resource": event["requestURI"]}
        parts = (asked["resource"], asked.get("subresource"))
        right = Right(
            asked.get("apiGroup", ""), "/".join(part for part in parts if part), event["verb"]
        )
        denied = event.get("responseStatus", {}).get("code") in (401, 403)
        (self.denied if denied else self.used).add(right)


@dataclass(frozen=True)
class Installed:
    """The operator's account on a cluster, and the process that runs as it.

    Attributes:
        process: The process.
        audit: What it asks.
    """

    process: OperatorProcess
    audit: Audit


def operators_objects(
    plane: ControlPlane, *, system: str, models: str, port: int, environment: Mapping[str, str]
) -> list[Object]:
    """Return what the chart makes, for one namespace of models.

    Args:
        plane: Any control plane; Helm asks it nothing.
        system: Namespace of the operator.
        models: Namespace of the models.
        port: Port of metrics and probes.
        environment: What is added to the operator's own.
    """
    values = {
        "watchNamespaces": [models],
        "metrics": {"port": port},
        "fullnameOverride": system,
        "extraEnv": [{"name": name, "value": value} for name, value in environment.items()],
    }
    return rendered_objects(plane.cluster, values, namespace=system)


@contextmanager
def running(plane: ControlPlane, objects: list[Object]) -> Iterator[Installed]:
    """Install the account with the roles among the objects, and run the Deployment's command."""
    (deployment,) = (it for it in objects if it["kind"] == "Deployment")
    plane.cluster.apply(*(it for it in objects if it["kind"] in ACCOUNT))
    with Processes.begin("freehold-rights-") as processes:
        process = start_operator_process(plane.cluster, processes, deployment)
        yield Installed(process, Audit(plane.audit_log, process.user))
