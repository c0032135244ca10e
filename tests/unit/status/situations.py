"""Situations that a model can be in, each as what one pass learns of it and what status says.

One table for everything that reads conditions: the summary itself, kstatus, the health check for
Argo CD.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from freehold.api import conditions as api
from freehold.api.conditions import Reason
from freehold.status.outcome import (
    Engines,
    Finding,
    Outcome,
    PassError,
    Probe,
    Replicas,
    Retry,
    RolledBack,
    Rollout,
    Submission,
)
from freehold.status.pod_state import ContainerTrouble, PodState, read_pod
from freehold.status.raw import ConditionState
from freehold.status.ray_cluster_state import RayClusterState, read_ray_cluster
from freehold.status.ray_service_state import (
    DeploymentState,
    RayServiceState,
    ServeApplicationState,
    ServedCluster,
)
from freehold.status.summarize import summarize

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
PLAN = {
    "candidate": "h100",
    "accelerator": "h100-80gb",
    "tensor": 8,
    "pipeline": 2,
    "nodes": 2,
    "weightsPerDevice": "29542Mi",
    "kvCacheTokens": 1_249_000,
    "contextLength": 65_536,
}


def condition(
    kind: str, status: str, reason: str, message: str = "", generation: int | None = 1
) -> ConditionState:
    return ConditionState(kind, status, reason, message, generation, "")


def application(
    status: str = "RUNNING", message: str = "", server: str = "HEALTHY", name: str = "chat"
) -> ServeApplicationState:
    deployments = (DeploymentState(f"LLMServer:{name}", server, ""),)
    return ServeApplicationState(name, status, message, deployments)


def cluster(name: str = "chat-old", *apps: ServeApplicationState) -> ServedCluster:
    return ServedCluster(name, apps)


READY = condition("Ready", "True", "NonZeroServeEndpoints")
INITIALIZING = condition("Ready", "False", "Initializing", "RayService is initializing")
UPGRADING = condition("UpgradeInProgress", "True", "BothActivePendingClustersExist")


def service(
    active: ServedCluster | None = None,
    pending: ServedCluster | None = None,
    *conditions: ConditionState,
    **fields: Any,
) -> RayServiceState:
    given: dict[str, Any] = {
        "name": "chat",
        "uid": "u",
        "generation": 1,
        "observed_generation": 1,
        "conditions": conditions or (READY if active else INITIALIZING,),
        "active": active,
        "pending": pending,
        "endpoints": 1 if active else 0,
        "suspend": False,
        "suspended": False,
        "deleting": False,
    }
    return RayServiceState(**{**given, **fields})


def pod(name: str, role: str = "worker", of: str = "chat-old", **fields: Any) -> PodState:
    raw: dict[str, Any] = {
        "metadata": {
            "name": name,
            "labels": {
                "ray.io/cluster": of,
                "ray.io/node-type": role,
                "ray.io/group": "headgroup" if role == "head" else "h100",
            },
        },
        "spec": {"nodeName": "n"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "ray", "state": {"running": {}}, "restartCount": 0}],
        },
    }
    return replace(read_pod(raw), **fields)


HEAD = pod("chat-old-head", "head")
WORKERS = (pod("chat-old-h100-worker-0"), pod("chat-old-h100-worker-1"))
PODS = (HEAD, *WORKERS)
UNPLACED = pod("chat-old-h100-worker-2", running=False, unschedulable="0/3 are available")
KILLED = ContainerTrouble("ray-worker", "OOMKilled", "exit code 137")
OUT_OF_MEMORY = pod("chat-old-h100-worker-7", failed=True, troubles=(KILLED,))
EVICTED = (pod("chat-old-h100-worker-7", failed=True, evicted="It takes more than 1Gi of disk."),)
ENGINES = Engines(1, frozenset({"e1"}))
ANSWERED = Probe(frozenset({"e1"}))
SERVES = Outcome(
    name="chat",
    generation=1,
    plan=PLAN,
    current_revision="chat-1",
    update_revision="chat-1",
    ray_service=service(cluster("chat-old", application())),
    pods=PODS,
    engines=ENGINES,
    submission=Submission("chat-old", "RUNNING", taken=True),
    probe=ANSWERED,
    addresses=(("openai", "http://chat.models.svc:8000/v1"),),
)
FRESH = replace(SERVES, current_revision="", ray_service=None, pods=(), engines=None, probe=None)
COMING = replace(FRESH, ray_service=service(None, cluster("chat-old")), pods=PODS)
ASLEEP = replace(SERVES, replicas=Replicas(0, 4), engines=Engines(0), probe=None, pods=(HEAD,))
TWO = Replicas(2, 2)


def full(name: str) -> RayClusterState:
    """Return a RayCluster of which a quota keeps KubeRay from making a pod."""
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreateWorkerPod",
        "message": "FailedCreateWorkerPod\nexceeded quota: pods",
    }
    return read_ray_cluster({"metadata": {"name": name}, "status": {"conditions": [failure]}})


def with_pod(**fields: Any) -> Outcome:
    """Return an outcome in which a worker of the first cluster does not run."""
    return replace(COMING, pods=(HEAD, pod("chat-old-h100-worker-0", running=False, **fields)))


def refused(reason: Reason, message: str = "the sentence of the refusal.") -> Outcome:
    return replace(FRESH, plan=None, refusal=Finding(reason, message))


def rolling(kind: str, outcome: Outcome = SERVES, **fields: Any) -> Outcome:
    rollout = Rollout(kind, ("spec.engine.args changes.",), started=NOW, **fields)
    return replace(outcome, generation=2, update_revision="chat-2", rollout=rollout)


def beside(*apps: ServeApplicationState, pods: tuple[PodState, ...] = ()) -> Outcome:
    """Return a rollout with a new cluster beside the one that serves."""
    both = service(
        cluster("chat-old"),
        cluster("chat-new", *apps),
        READY,
        UPGRADING,
        generation=2,
        observed_generation=2,
    )
    return rolling("NewCluster", replace(SERVES, ray_service=both, pods=(*PODS, *pods)))


BROKEN = rolling(
    "NewReplicas",
    replace(
        SERVES,
        ray_service=service(
            cluster("chat-old", application("DEPLOY_FAILED", "ValueError: no such argument"))
        ),
    ),
)


def status_of(outcome: Outcome, now: datetime = NOW, old: Any = None) -> dict[str, Any]:
    return summarize(outcome, old or {}, now)


SERVED = status_of(SERVES)
SLEPT = status_of(ASLEEP)
WAITED = status_of(with_pod(unschedulable="0/3 nodes are available"))
ROLLED = status_of(rolling("NewCluster"), old=SERVED)


GIVEN_UP: dict[str, Any] = {
    "generation": 2,
    "current_revision": "chat-1",
    "update_revision": "chat-2",
    "rollout": None,
    "rolled_back": RolledBack("chat-2", "chat-1", "Pod chat-new-worker crashes"),
}
BACK = replace(SERVES, **GIVEN_UP)


@dataclass(frozen=True, slots=True)
class Situation:
    """What a pass learns, and what the summaries then say.

    Attributes:
        sentence: The situation in words.
        outcome: What the pass learns.
        ready: Status and reason of Ready.
        health: What kstatus makes of it: Current, InProgress or Failed.
        old: The status before.
        now: When the pass ends.
        facts: Reasons expected of facts, as far as they matter here.
        why: Reason expected of Reconciling or Stalled, whichever is True.
    """

    sentence: str
    outcome: Outcome
    ready: tuple[str, Reason]
    health: str
    old: Any = None
    now: datetime = NOW
    facts: tuple[Reason, ...] = ()
    why: Reason | None = None

    def status(self) -> dict[str, Any]:
        return status_of(self.outcome, self.now, self.old)


def _trouble(reason: str, message: str = "") -> Outcome:
    return with_pod(troubles=(ContainerTrouble("ray", reason, message),))


REFUSALS = [
    Situation(f"a spec refused with {reason.name}", refused(reason), ("False", reason), "Failed")
    for reason in (
        api.INVALID_SPEC,
        api.UNKNOWN_MODEL,
        api.GATED_MODEL,
        api.NOTHING_FITS,
        api.UNKNOWN_ACCELERATOR,
        api.SERVED_NAME_TAKEN,
        api.NO_HARDWARE,
        api.NO_ENGINE_IMAGE,
    )
]
STARTING = [
    Situation(
        "a pod reads the source",
        refused(api.DESCRIBING_MODEL, "The pod chat-describe-1 reads s3://models/chat."),
        ("False", api.DESCRIBING_MODEL),
        "InProgress",
    ),
    Situation(
        "a pod reads another source of a model that serves",
        replace(
            SERVES, generation=2, refusal=Finding(api.DESCRIBING_MODEL, "A pod reads the source.")
        ),
        ("True", api.ANSWERS),
        "InProgress",
    ),
    Situation(
        "the pod that reads the source has been failing for an hour",
        refused(api.DESCRIBE_FAILED),
        ("False", api.DESCRIBE_FAILED),
        "Failed",
        old=status_of(refused(api.DESCRIBE_FAILED)),
        now=LATER,
        why=api.PROGRESS_DEADLINE_EXCEEDED,
    ),
    Situation(
        "the source does not answer",
        refused(api.SOURCE_UNREACHABLE),
        ("False", api.SOURCE_UNREACHABLE),
        "InProgress",
    ),
    Situation(
        "KubeRay is not installed",
        replace(FRESH, kuberay=False),
        ("False", api.KUBERAY_MISSING),
        "Failed",
    ),
    Situation(
        "a RayService of that name is somebody else's",
        replace(FRESH, child_refusal=Finding(api.CHILD_NOT_OURS, "RayService chat")),
        ("False", api.CHILD_NOT_OURS),
        "Failed",
    ),
    Situation(
        "the Secret with the user's keys is not there",
        replace(FRESH, child_refusal=Finding(api.API_KEYS_MISSING, "the Secret chat-keys")),
        ("False", api.API_KEYS_MISSING),
        "Failed",
    ),
    Situation(
        "the Secret with the keys of a model that serves was taken away",
        replace(SERVES, lacks=Finding(api.API_KEYS_MISSING, "the Secret chat-keys")),
        ("False", api.API_KEYS_MISSING),
        "Failed",
        facts=(api.ANSWERS,),
    ),
    Situation(
        "an admission policy refuses the child",
        replace(FRESH, child_refusal=Finding(api.CHILD_REFUSED, "denied")),
        ("False", api.CHILD_REFUSED),
        "Failed",
    ),
    Situation(
        "KubeRay refuses the RayService",
        replace(
            FRESH,
            ray_service=service(
                None,
                None,
                condition("Ready", "False", "ValidationFailed", "the name is too long"),
                observed_generation=None,
            ),
        ),
        ("False", api.RAY_SERVICE_INVALID),
        "Failed",
    ),
    Situation(
        "the former cluster must go first",
        rolling("NewCluster", replace(FRESH, current_revision="chat-1"), waits_for="chat-old"),
        ("False", api.WAITING_FOR_OLD_CLUSTER),
        "InProgress",
        why=api.BUILDING_NEW_CLUSTER,
    ),
    Situation("the RayService is about to be made", FRESH, ("False", api.CREATING), "InProgress"),
    Situation(
        "KubeRay has not looked at it",
        replace(FRESH, ray_service=service(observed_generation=None)),
        ("False", api.AWAITING_KUBERAY),
        "InProgress",
    ),
    Situation(
        "KubeRay has made no cluster",
        replace(FRESH, ray_service=service()),
        ("False", api.CREATING),
        "InProgress",
    ),
    Situation(
        "no node takes a pod",
        with_pod(unschedulable="0/3 nodes are available"),
        ("False", api.UNSCHEDULABLE),
        "InProgress",
    ),
    Situation(
        "no node took a pod for an hour",
        with_pod(unschedulable="0/3 nodes are available"),
        ("False", api.UNSCHEDULABLE),
        "Failed",
        old=WAITED,
        now=LATER,
        why=api.PROGRESS_DEADLINE_EXCEEDED,
    ),
    Situation(
        "the image cannot be pulled",
        _trouble("ImagePullBackOff"),
        ("False", api.IMAGE_PULL_FAILED),
        "InProgress",
    ),
    Situation(
        "a container crashes",
        _trouble("CrashLoopBackOff", "exit code 1"),
        ("False", api.PODS_CRASHING),
        "InProgress",
    ),
    Situation(
        "a container took too much memory, its pod is gone and another one starts",
        replace(with_pod(), failed=(OUT_OF_MEMORY,)),
        ("False", api.PODS_CRASHING),
        "InProgress",
    ),
    Situation(
        "a node ended a pod, and another one starts",
        replace(with_pod(), failed=EVICTED),
        ("False", api.PODS_EVICTED),
        "InProgress",
    ),
    Situation(
        "a node ended a pod, and another one runs in its place",
        replace(COMING, pods=PODS, failed=EVICTED),
        ("False", api.DEPLOYING),
        "InProgress",
    ),
    Situation(
        "a quota has no room for a pod",
        replace(with_pod(), ray_clusters=(full("chat-old"),)),
        ("False", api.PODS_NOT_MADE),
        "InProgress",
    ),
    Situation("pods are starting", with_pod(), ("False", api.PODS_STARTING), "InProgress"),
    Situation(
        "KubeRay gave up initializing",
        replace(
            FRESH,
            ray_service=service(
                None, None, condition("Ready", "False", "InitializingTimeout", "after 30m")
            ),
        ),
        ("False", api.INITIALIZING_TIMEOUT),
        "InProgress",
    ),
    Situation("Serve is deploying", COMING, ("False", api.DEPLOYING), "InProgress"),
    Situation(
        "Serve could not deploy",
        replace(
            COMING,
            ray_service=service(
                None, cluster("chat-old", application("DEPLOY_FAILED", "KeyError: 'x'"))
            ),
        ),
        ("False", api.DEPLOY_FAILED),
        "Failed",
    ),
    Situation(
        "Serve runs and KubeRay finds no endpoint",
        replace(
            SERVES,
            ray_service=service(
                cluster("chat-old", application()),
                None,
                condition("Ready", "False", "ZeroServeEndpoints"),
                endpoints=0,
            ),
        ),
        ("False", api.NO_SERVE_ENDPOINTS),
        "InProgress",
    ),
    Situation(
        "the engines have not been asked",
        replace(SERVES, probe=None),
        ("False", api.PROBING),
        "InProgress",
    ),
    Situation(
        "other engines have answered before",
        replace(SERVES, probe=Probe(frozenset({"e0"}))),
        ("False", api.PROBING),
        "InProgress",
    ),
    Situation(
        "a request to the engines failed",
        replace(SERVES, probe=Probe(frozenset({"e1"}), "HTTP 500: EngineDeadError")),
        ("False", api.ENDPOINT_UNANSWERED),
        "InProgress",
        old=SERVED,
    ),
    Situation(
        "KubeRay has not seen a change of what never served",
        replace(SERVES, ray_service=service(cluster("chat-old", application()), generation=2)),
        ("False", api.AWAITING_KUBERAY),
        "InProgress",
    ),
    Situation(
        "the first pass could not look at anything",
        Outcome(
            "chat",
            1,
            assessed=False,
            observed=False,
            error=PassError("the API server answers 503", LATER),
        ),
        ("Unknown", api.PENDING),
        "InProgress",
        why=api.RETRYING,
    ),
]
SERVING = [
    Situation(
        "all is well",
        SERVES,
        ("True", api.ANSWERS),
        "Current",
        facts=(api.PLAN_MADE, api.PODS_RUNNING, api.ANSWERS, api.AS_DESIRED),
    ),
    Situation(
        "Serve does not tell its replicas",
        replace(SERVES, engines=None),
        ("True", api.ANSWERS),
        "Current",
        facts=(api.NOT_COUNTED,),
    ),
    Situation(
        "it sleeps at zero",
        ASLEEP,
        ("True", api.SCALED_TO_ZERO),
        "Current",
        facts=(api.SCALED_TO_ZERO,),
    ),
    Situation(
        "no replica is asked for",
        replace(SERVES, replicas=Replicas(0, 0), engines=None, probe=None, pods=(HEAD,)),
        ("True", api.SCALED_TO_ZERO),
        "Current",
    ),
    Situation(
        "no replica is asked for and pods are ending",
        replace(SERVES, replicas=Replicas(0, 0)),
        ("True", api.SCALED_TO_ZERO),
        "Current",
        old=SERVED,
        facts=(api.SCALING_DOWN,),
    ),
    Situation(
        "it wakes",
        replace(ASLEEP, engines=Engines(1)),
        ("True", api.WAKING),
        "Current",
        old=SLEPT,
        facts=(api.SCALING_UP,),
    ),
    Situation(
        "it has woken and was not asked yet",
        replace(ASLEEP, engines=ENGINES, pods=PODS),
        ("True", api.WAKING),
        "Current",
        old=status_of(replace(ASLEEP, engines=Engines(1)), old=SLEPT),
    ),
    Situation(
        "it scales up",
        replace(SERVES, replicas=TWO, engines=Engines(2, ENGINES.running)),
        ("True", api.ANSWERS),
        "Current",
        old=SERVED,
        facts=(api.SCALING_UP,),
    ),
    Situation(
        "it cannot scale up for want of nodes",
        replace(
            SERVES,
            replicas=TWO,
            engines=Engines(2, ENGINES.running),
            pods=(*PODS, pod("chat-old-h100-worker-2", running=False, unschedulable="no GPU")),
        ),
        ("True", api.ANSWERS),
        "Current",
        old=SERVED,
        facts=(api.UNSCHEDULABLE,),
    ),
    Situation(
        "a new engine beside one that answered was not asked yet",
        replace(SERVES, replicas=TWO, engines=Engines(2, frozenset({"e1", "e2"}))),
        ("True", api.ANSWERS),
        "Current",
        old=SERVED,
        facts=(api.AS_DESIRED,),
    ),
    Situation(
        "it scales down",
        replace(SERVES, engines=Engines(1, frozenset({"e1", "e2"}))),
        ("True", api.ANSWERS),
        "Current",
        old=SERVED,
        facts=(api.SCALING_DOWN,),
    ),
    Situation(
        "bounds were changed and KubeRay has not looked yet",
        replace(SERVES, ray_service=service(cluster("chat-old", application()), generation=2)),
        ("True", api.ANSWERS),
        "Current",
        old=SERVED,
    ),
    Situation(
        "the API server throttles",
        replace(Outcome("chat", 1, assessed=False, observed=False), error=PassError("429")),
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.RETRYING,
    ),
    Situation(
        "all engines died",
        replace(
            SERVES,
            engines=Engines(1),
            ray_service=service(cluster("chat-old", application("UNHEALTHY", "", "UNHEALTHY"))),
        ),
        ("False", api.UNHEALTHY),
        "InProgress",
        old=SERVED,
    ),
    Situation(
        "one of two engines died",
        replace(
            SERVES,
            replicas=TWO,
            engines=Engines(2, ENGINES.running),
            ray_service=service(cluster("chat-old", application("UNHEALTHY", "", "UNHEALTHY"))),
        ),
        ("True", api.ANSWERS),
        "Current",
        old=SERVED,
        facts=(api.SCALING_UP,),
    ),
    Situation(
        "no node takes the only replica's successor",
        replace(SERVES, engines=Engines(1), pods=(HEAD, UNPLACED)),
        ("False", api.UNSCHEDULABLE),
        "InProgress",
        old=SERVED,
    ),
    Situation(
        "no engine runs though Serve is content",
        replace(SERVES, engines=Engines(1)),
        ("False", api.DEPLOYING),
        "InProgress",
        old=SERVED,
    ),
]
CHANGING = [
    Situation(
        "a change is taken in place",
        rolling("InPlace"),
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.UPDATING_IN_PLACE,
    ),
    Situation(
        "replicas are replaced and one still runs",
        rolling(
            "NewReplicas",
            replace(
                SERVES,
                ray_service=service(cluster("chat-old", application("DEPLOYING", "", "UPDATING"))),
            ),
        ),
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.REPLACING_REPLICAS,
    ),
    Situation(
        "replicas are replaced and none runs",
        rolling(
            "NewReplicas",
            replace(
                SERVES,
                engines=Engines(1),
                ray_service=service(cluster("chat-old", application("DEPLOYING", "", "UPDATING"))),
            ),
        ),
        ("False", api.DEPLOYING),
        "InProgress",
        old=SERVED,
        why=api.REPLACING_REPLICAS,
    ),
    Situation(
        "a new cluster is built beside",
        beside(),
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.BUILDING_NEW_CLUSTER,
    ),
    Situation(
        "a rollout of a kind that has no word",
        rolling("Canary"),
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.ROLLING_OUT,
    ),
    Situation(
        "a new cluster finds no nodes",
        beside(
            pods=(
                pod("chat-new-head", "head", "chat-new", running=False, unschedulable="0/3 nodes"),
            )
        ),
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.BUILDING_NEW_CLUSTER,
    ),
    Situation(
        "a new cluster found no nodes for an hour",
        beside(
            pods=(
                pod("chat-new-head", "head", "chat-new", running=False, unschedulable="0/3 nodes"),
            )
        ),
        ("False", api.UNSCHEDULABLE),
        "Failed",
        old=ROLLED,
        now=LATER,
        facts=(api.ANSWERS,),
        why=api.PROGRESS_DEADLINE_EXCEEDED,
    ),
    Situation(
        "a rollout does not end for an hour",
        beside(),
        ("False", api.PROGRESS_DEADLINE_EXCEEDED),
        "Failed",
        old=ROLLED,
        now=LATER,
        facts=(api.ANSWERS,),
    ),
    Situation(
        "Serve cannot deploy on the new cluster",
        beside(application("DEPLOY_FAILED", "ValueError: x")),
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.BUILDING_NEW_CLUSTER,
    ),
    Situation(
        "Serve is given again on the new cluster what it could not deploy",
        replace(beside(application("DEPLOYING")), retry=Retry("chat-new", "ValueError: x", 2)),
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.BUILDING_NEW_CLUSTER,
    ),
    Situation(
        "Serve cannot deploy a change in place",
        BROKEN,
        ("True", api.ANSWERS),
        "InProgress",
        old=SERVED,
        why=api.REPLACING_REPLICAS,
    ),
    Situation(
        "Serve cannot deploy a change in place and nothing answers",
        replace(BROKEN, engines=Engines(1)),
        ("False", api.DEPLOY_FAILED),
        "InProgress",
        old=SERVED,
        why=api.REPLACING_REPLICAS,
    ),
    Situation(
        "a rollout was given up and the former revision serves",
        BACK,
        ("False", api.ROLLED_BACK),
        "Failed",
        old=ROLLED,
        facts=(api.ANSWERS,),
        why=api.ROLLED_BACK,
    ),
    Situation(
        "a rollout was given up and the former revision comes up again",
        replace(COMING, **GIVEN_UP),
        ("False", api.DEPLOYING),
        "Failed",
        old=ROLLED,
        why=api.ROLLED_BACK,
    ),
    Situation(
        "Serve has not heard yet that a change in place was given up",
        replace(BROKEN, **GIVEN_UP),
        ("False", api.ROLLED_BACK),
        "Failed",
        old=ROLLED,
        facts=(api.ANSWERS,),
        why=api.ROLLED_BACK,
    ),
    Situation(
        "a rollout was given up and the API server throttles",
        replace(Outcome("chat", 2, assessed=False, observed=False), error=PassError("429", LATER)),
        ("False", api.ROLLED_BACK),
        "Failed",
        old=status_of(BACK, old=ROLLED),
        why=api.ROLLED_BACK,
    ),
    Situation(
        "a change is refused while the former revision serves",
        replace(SERVES, generation=2, refusal=Finding(api.INVALID_SPEC, "wrong")),
        ("False", api.INVALID_SPEC),
        "Failed",
        old=SERVED,
        facts=(api.ANSWERS,),
    ),
    Situation(
        "a change lacks hardware while the former revision serves",
        replace(SERVES, generation=2, refusal=Finding(api.NO_HARDWARE, "no h200")),
        ("False", api.NO_HARDWARE),
        "Failed",
        old=SERVED,
        facts=(api.ANSWERS,),
    ),
    Situation(
        "a change is refused by a policy while the former revision serves",
        replace(SERVES, child_refusal=Finding(api.CHILD_REFUSED, "denied")),
        ("False", api.CHILD_REFUSED),
        "Failed",
        old=SERVED,
        facts=(api.ANSWERS,),
    ),
]
HELD = [
    Situation(
        "what was given up is suspended",
        replace(
            BACK,
            suspended=True,
            pods=(),
            engines=None,
            probe=None,
            ray_service=service(suspend=True, suspended=True),
        ),
        ("False", api.SUSPENDED),
        "InProgress",
        old=SERVED,
    ),
    Situation(
        "it is being suspended",
        replace(SERVES, suspended=True),
        ("False", api.SUSPENDED),
        "InProgress",
        old=SERVED,
        why=api.SUSPENDING,
    ),
    Situation(
        "it is suspended",
        replace(
            SERVES,
            suspended=True,
            pods=(),
            engines=None,
            probe=None,
            ray_service=service(suspend=True, suspended=True),
        ),
        ("False", api.SUSPENDED),
        "InProgress",
        old=SERVED,
    ),
    Situation(
        "it is paused and well",
        replace(SERVES, paused=True),
        ("True", api.ANSWERS),
        "Current",
        old=SERVED,
    ),
    Situation(
        "it is paused and a change waits",
        replace(rolling("InPlace"), paused=True),
        ("False", api.PAUSED),
        "InProgress",
        old=SERVED,
    ),
    Situation(
        "it is paused and pods crash",
        replace(_trouble("CrashLoopBackOff"), paused=True),
        ("False", api.PODS_CRASHING),
        "InProgress",
    ),
    Situation(
        "it is being deleted",
        replace(SERVES, deleting=True),
        ("False", api.DELETING),
        "InProgress",
        old=SERVED,
        why=api.DELETING,
    ),
]
SITUATIONS = [*REFUSALS, *STARTING, *SERVING, *CHANGING, *HELD]
