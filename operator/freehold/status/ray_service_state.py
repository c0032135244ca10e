"""A KubeRay RayService as far as Freehold's status depends on it.

Fields and reasons: KubeRay 1.7, ``ray-operator/apis/ray/v1/rayservice_types.go``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from freehold.status.raw import ConditionState, conditions, count, find, is_true, mapping, text

RUNNING = "RUNNING"
DEPLOYING = "DEPLOYING"
DEPLOY_FAILED = "DEPLOY_FAILED"
UNHEALTHY = "UNHEALTHY"


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """One Serve deployment.

    Attributes:
        name: Its name.
        status: HEALTHY, UPDATING, UPSCALING, DOWNSCALING, UNHEALTHY or DEPLOY_FAILED.
        message: Serve's words.
    """

    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class ServeApplicationState:
    """One Serve application.

    Attributes:
        name: Its name.
        status: NOT_STARTED, DEPLOYING, RUNNING, DEPLOY_FAILED, DELETING or UNHEALTHY.
        message: Serve's words.
        deployments: Its deployments by name; none while Serve builds the application anew.
    """

    name: str
    status: str
    message: str
    deployments: tuple[DeploymentState, ...]

    @property
    def failed(self) -> bool:
        """Return whether Serve gave up on it or on one of its deployments."""
        return DEPLOY_FAILED in (self.status, *(item.status for item in self.deployments))

    @property
    def unhealthy(self) -> bool:
        """Return whether it or one of its deployments fails its health checks."""
        return UNHEALTHY in (self.status, *(item.status for item in self.deployments))

    @property
    def words(self) -> str:
        """Return what Serve says of it and its deployments, a line each."""
        said = [self.message, *(item.message for item in self.deployments)]
        return "\n".join(word for word in said if word)


@dataclass(frozen=True, slots=True)
class ServedCluster:
    """One of the two clusters that a RayService may have.

    Attributes:
        name: Name of the RayCluster.
        applications: What Serve says on it; empty for the active one while another is pending.
    """

    name: str
    applications: tuple[ServeApplicationState, ...]

    @property
    def running(self) -> bool:
        """Return whether there is an application, and all of them run and are well."""
        return bool(self.applications) and all(
            item.status == RUNNING and not item.failed and not item.unhealthy
            for item in self.applications
        )


@dataclass(frozen=True, slots=True)
class RayServiceState:
    """A RayService.

    Attributes:
        name: Its name.
        uid: Its uid; "" where it is not known.
        generation: Generation of its spec.
        observed_generation: The generation that KubeRay has acted on; None before the first.
        conditions: Its conditions.
        active: The cluster that serves; None while there is none.
        pending: The cluster that is to take over; None while there is none.
        endpoints: Ready pods behind its serve Service.
        suspend: Whether its spec asks to be suspended.
        suspended: Whether it is.
        deleting: Whether it is being deleted.
    """

    name: str
    uid: str
    generation: int
    observed_generation: int | None
    conditions: tuple[ConditionState, ...]
    active: ServedCluster | None
    pending: ServedCluster | None
    endpoints: int
    suspend: bool
    suspended: bool
    deleting: bool

    @property
    def observed(self) -> bool:
        """Return whether KubeRay has acted on the present spec."""
        seen = self.observed_generation
        return seen is not None and seen >= self.generation

    @property
    def awaits_edit(self) -> bool:
        """Return whether there is an edit that KubeRay is yet to take to a model that serves.

        A spec that it refuses, has given up or keeps suspended it leaves alone; the generation that
        it observed then stays behind for good.
        """
        left_alone = self.refusal is not None or self.timed_out or self.suspended or self.deleting
        return self.active is not None and not self.observed and not left_alone

    @property
    def ready(self) -> ConditionState | None:
        """Return KubeRay's Ready condition: True means only that there are endpoints."""
        return find(self.conditions, "Ready")

    @property
    def upgrading(self) -> bool:
        """Return whether a pending cluster is to take over from an active one."""
        both = self.active is not None and self.pending is not None
        return both or is_true(self.conditions, "UpgradeInProgress")

    @property
    def refusal(self) -> str | None:
        """Return KubeRay's words where it refuses the present spec.

        It does not bring its observedGeneration up to date then; the condition has its own.
        """
        for item in self.conditions:
            current = item.observed_generation in (None, self.generation)
            if item.reason == "ValidationFailed" and current:
                return item.message or "KubeRay gives no reason"
        return None

    def standing(self, clusters: Container[str]) -> RayServiceState:
        """Return it without the clusters that are not there any more.

        KubeRay's status speaks of a cluster that was deleted until KubeRay has looked again.

        Args:
            clusters: Names of the RayClusters that are to stay.
        """
        active, pending = (
            it if it is not None and it.name in clusters else None
            for it in (self.active, self.pending)
        )
        return replace(self, active=active, pending=pending)

    @property
    def timed_out(self) -> bool:
        """Return whether KubeRay gave up waiting for the first cluster, for good."""
        ready = self.ready
        return ready is not None and ready.reason == "InitializingTimeout"


def read_ray_service(raw: Mapping[str, Any]) -> RayServiceState:
    """Return the state of a RayService; what is missing or odd reads as absent."""
    metadata, status = mapping(raw, "metadata"), mapping(raw, "status")
    said = conditions(status.get("conditions"))
    return RayServiceState(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        generation=count(metadata.get("generation")) or 0,
        observed_generation=count(status.get("observedGeneration")),
        conditions=said,
        active=_cluster(mapping(status, "activeServiceStatus")),
        pending=_cluster(mapping(status, "pendingServiceStatus")),
        endpoints=count(status.get("numServeEndpoints")) or 0,
        suspend=mapping(raw, "spec").get("suspend") is True,
        suspended=is_true(said, "Suspended"),
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def _cluster(raw: Mapping[str, Any]) -> ServedCluster | None:
    """Return a cluster; KubeRay leaves a status without a name where there is none."""
    name = text(raw.get("rayClusterName"))
    if not name:
        return None
    found = sorted(mapping(raw, "applicationStatuses").items(), key=lambda item: str(item[0]))
    return ServedCluster(
        name, tuple(_application(str(key), mapping(value)) for key, value in found)
    )


def _application(name: str, raw: Mapping[str, Any]) -> ServeApplicationState:
    found = sorted(mapping(raw, "serveDeploymentStatuses").items(), key=lambda item: str(item[0]))
    return ServeApplicationState(
        name=name,
        status=text(raw.get("status")),
        message=text(raw.get("message")),
        deployments=tuple(
            DeploymentState(
                name=str(key),
                status=text(mapping(value).get("status")),
                message=text(mapping(value).get("message")),
            )
            for key, value in found
        ),
    )
