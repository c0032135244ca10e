"""What one pass over a ModelDeployment has learned: the only input of its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from freehold.api.conditions import Reason
from freehold.status.pod_state import PodState
from freehold.status.ray_cluster_state import RayClusterState
from freehold.status.ray_service_state import RayServiceState

DEFAULT_PROGRESS_DEADLINE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: a documented reason with this object's sentence.

    Attributes:
        reason: The reason.
        message: One or two sentences with names and numbers. May be long; it is cut.
    """

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas the spec asks for: equal bounds for a fixed number."""

    minimum: int = 1
    maximum: int = 1


@dataclass(frozen=True, slots=True)
class Rollout:
    """A change of the spec that is not everywhere yet.

    Attributes:
        kind: InPlace, NewReplicas or NewCluster; any other word is told as a plain rollout.
        sentences: What changes and what that means, a sentence each.
        started: When it was decided; the progress deadline counts from there. None where that is
            not known.
        waits_for: Recreate: the cluster that must be gone before the new one is made; "" when
            nothing is waited for.
    """

    kind: str
    sentences: tuple[str, ...] = ()
    started: datetime | None = None
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """That a rollout was given up, and what stands instead.

    Attributes:
        failed: The revision that the spec asks for.
        to: The one that had served last.
        cause: Why, in a sentence.
    """

    failed: str
    to: str
    cause: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What Serve itself says of the application on the cluster that is given the Serve config.

    KubeRay's status speaks of the application as it was before the config was handed over, for a
    while after it was.

    Attributes:
        cluster: The RayCluster: the one that is to take over, or that serves.
        status: Serve's word, such as RUNNING.
        taken: Whether Serve has the very application that the RayService now declares.
        words: What it says beside the word.
    """

    cluster: str
    status: str
    taken: bool
    words: str = ""

    def is_of(self, cluster: str, status: str) -> bool:
        """Return whether Serve says this of the present application on a cluster."""
        return self.taken and (self.cluster, self.status) == (cluster, status)


@dataclass(frozen=True, slots=True)
class Retry:
    """That an application on which Serve gave up is handed over again and again.

    Attributes:
        cluster: The RayCluster.
        words: What Serve said of it last.
        tries: How often it was handed over again.
    """

    cluster: str
    words: str
    tries: int


@dataclass(frozen=True, slots=True)
class Engines:
    """What Serve tells of the replicas of the model's server, on the cluster that serves.

    Attributes:
        target: Replicas that Serve wants.
        running: Ids of those that run; a new engine has a new one.
        starting: How many start.
    """

    target: int
    running: frozenset[str] = frozenset()
    starting: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """The last one-token request that came back.

    Attributes:
        engines: Ids of the engines that ran when it was sent.
        error: Why it was not answered; "" when it was.
    """

    engines: frozenset[str]
    error: str = ""

    @property
    def answered(self) -> bool:
        """Return whether a token came back."""
        return not self.error


@dataclass(frozen=True, slots=True)
class PassError:
    """An error that ended the pass and may be gone at the next.

    Attributes:
        message: What went wrong, as a sentence.
        retry_at: When it is tried again; None where that is not settled.
    """

    message: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """What the scaling policy told last, in its own words.

    Attributes:
        reason: The decision in a word.
        message: Why, in a sentence with the numbers that decided.
        running: Requests that engines run; None where that is not known.
        queued: Requests that wait, in engines and before them; None where that is not known.
        desired: Replicas that were decided on; None where that is not known.
        ready: Replicas that answered then; None where that is not known.
        learned: What was learned of a replica, as ``status.scaling.learned`` has it; {} where
            that is not known.
    """

    reason: str
    message: str
    running: int | None = None
    queued: int | None = None
    desired: int | None = None
    ready: int | None = None
    learned: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one pass has learned.

    What a pass did not get to is told by ``assessed`` and ``observed``: conditions that nothing
    new is known of stay as they are.

    Attributes:
        name: Name of the ModelDeployment.
        generation: Generation of the spec that was looked at.
        deleting: Whether it is being deleted.
        suspended: ``spec.suspend``.
        paused: Whether the annotation keeps its children from being written.
        replicas: What the spec asks for.
        assessed: Whether it is known if the spec can be planned (``refusal`` or not).
        refusal: Why it cannot be planned or placed: a reason of Planned, or of Placed that is
            known before anything is made (NoHardware, NoEngineImage).
        look_again: Seconds after which that is to be looked at again though no watch tells of it;
            None for not by itself.
        plan: ``status.plan`` of the revision that serves or is being rolled out; None without one.
        current_revision: The revision that serves; "" while none has.
        update_revision: The revision that is wanted; "" while there is none.
        rollout: The change that is under way or held back; None when all is as wanted.
        rolled_back: That the rollout of the revision that is wanted was given up; None where not.
        observed: Whether the cluster was looked at: the fields below say what is there.
        kuberay: Whether the cluster knows RayService.
        child_refusal: ChildNotOurs, ChildRefused or APIKeysMissing; None when children could be
            written.
        lacks: APIKeysMissing where the children are there all the same, and pods may wait for it;
            None otherwise.
        ray_service: Our RayService; None when there is none.
        ray_clusters: Its RayClusters.
        pods: The model's pods.
        failed: Those that failed lately, of each RayCluster the last; they may be gone.
        engines: What Serve tells of replicas; None while it does not answer or was not asked.
        submission: What Serve says of what it was given; None while it does not answer.
        retry: That Serve is given again what it gave up; None where not.
        probe: The last one-token request; None when none has come back.
        error: What ended the pass early; None when it came to its end.
        progress_deadline: ``spec.rollout.progressDeadline``.
        addresses: Where the model answers: protocol and URL.
        scaling: What the scaling policy told last; None while it is not heard.
    """

    name: str
    generation: int
    deleting: bool = False
    suspended: bool = False
    paused: bool = False
    replicas: Replicas = Replicas()
    assessed: bool = True
    refusal: Finding | None = None
    look_again: float | None = None
    plan: Mapping[str, Any] | None = None
    current_revision: str = ""
    update_revision: str = ""
    rollout: Rollout | None = None
    rolled_back: RolledBack | None = None
    observed: bool = True
    kuberay: bool = True
    child_refusal: Finding | None = None
    lacks: Finding | None = None
    ray_service: RayServiceState | None = None
    ray_clusters: tuple[RayClusterState, ...] = ()
    pods: tuple[PodState, ...] = ()
    failed: tuple[PodState, ...] = ()
    engines: Engines | None = None
    submission: Submission | None = None
    retry: Retry | None = None
    probe: Probe | None = None
    error: PassError | None = None
    progress_deadline: timedelta = DEFAULT_PROGRESS_DEADLINE
    addresses: tuple[tuple[str, str], ...] = ()
    scaling: ScalingDecision | None = None

    @property
    def running(self) -> int:
        """Return how many engines run, 0 where that is not known."""
        return len(self.engines.running) if self.engines else 0

    @property
    def serving_cluster(self) -> str:
        """Return the RayCluster that serves, or that is to serve first; "" for none."""
        service = self.ray_service
        found = (service.active or service.pending) if service else None
        return found.name if found else ""

    @property
    def has_way_back(self) -> bool:
        """Return whether a rollout is under way that could be given up for what served before."""
        held = self.deleting or self.suspended or self.paused or self.error is not None
        unplaced = self.refusal or self.child_refusal or self.rolled_back
        if self.rollout is None or held or unplaced or not (self.observed and self.kuberay):
            return False
        return self.current_revision not in ("", self.update_revision)

    def ray_cluster(self, name: str) -> RayClusterState | None:
        """Return a RayCluster by its name, None where there is none of it."""
        return next((it for it in self.ray_clusters if it.name == name), None)

    def pods_of(self, cluster: str) -> tuple[PodState, ...]:
        """Return the pods of a RayCluster that are to stay."""
        return tuple(pod for pod in self.pods if pod.cluster == cluster and pod.stays)

    def deadline(self, began: datetime) -> datetime:
        """Return when something that began at ``began`` has taken too long."""
        return began + self.progress_deadline
