"""Every condition and every reason that a ModelDeployment's status can bear, as data.

Four facts (Planned, Placed, Serving, Scaled) say each what is true of one stage; three summaries
(Ready, Reconciling, Stalled) follow from them in the sense of kstatus. A summary takes over the
reason of its cause, so that the same word stands wherever the same thing is meant. The reference
and the runbook in docs/ are written from what stands here.

A reason's name is part of the API: people alert on it. It may be added, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ConditionType(StrEnum):
    """The conditions, in the order in which they stand in the status."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PLANNED = "Planned"
    PLACED = "Placed"
    SERVING = "Serving"
    SCALED = "Scaled"


READY, RECONCILING, STALLED, PLANNED, PLACED, SERVING, SCALED = ConditionType
# The facts whose failure makes Ready False, the first of them being the root cause.
NEEDED_FOR_READY = (PLANNED, PLACED, SERVING)


class Actor(StrEnum):
    """Who must act when a reason lasts."""

    NOBODY = "nobody"
    USER = "user"
    ADMIN = "cluster admin"


@dataclass(frozen=True, slots=True)
class ConditionMeaning:
    """What a condition means, for the reference.

    Attributes:
        when_true: What True says.
        when_false: What False says.
        when_unknown: What Unknown says; "" where it never is.
    """

    when_true: str
    when_false: str
    when_unknown: str = ""


CONDITIONS: Mapping[ConditionType, ConditionMeaning] = {
    READY: ConditionMeaning(
        "The object's present spec is what serves, and it answers; at zero replicas, nothing is "
        "wrong. While a rollout runs and the former revision answers, it stays True.",
        "Reason and message are those of the first fact that fails, in the order Planned, Placed, "
        "Serving; RolledBack where all of them hold for a former spec. The model may go on "
        "answering as it was before the change: Serving says so.",
        "Nothing is known yet.",
    ),
    RECONCILING: ConditionMeaning(
        "Something is under way that can end well without anybody acting.",
        "Nothing is under way: all is well, or somebody must act.",
    ),
    STALLED: ConditionMeaning(
        "Nothing will get better until somebody acts, or nothing did within "
        "spec.rollout.progressDeadline.",
        "Nobody needs to act.",
    ),
    PLANNED: ConditionMeaning(
        "The spec is valid and its model fits on a candidate.",
        "It cannot be planned; no child is made or changed.",
        "It could not be looked at yet.",
    ),
    PLACED: ConditionMeaning(
        "The RayService exists and the pods that one replica needs run on nodes.",
        "They do not, for the reason given.",
        "There is no plan to place.",
    ),
    SERVING: ConditionMeaning(
        "Requests are answered, or would be after waking from zero.",
        "Requests are not answered, or what was last asked of Serve failed.",
        "There is nothing yet that could answer.",
    ),
    SCALED: ConditionMeaning(
        "As many replicas run as are wanted.",
        "More or fewer run. Alone it makes nothing else False: scaling is everyday work.",
        "There are no replicas to count.",
    ),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One documented reason.

    Attributes:
        name: The word in the condition.
        status: The status of a fact that bears it; of a summary where no fact does.
        conditions: Which facts bear it first-hand, or which summary, where it belongs to one.
        meaning: What it says, as a sentence.
        actor: Who must act when it lasts.
        runbook: What to do, as a sentence.
        stalls: Whether waiting is of no use: Stalled is True at once instead of after the
            progress deadline.
        goes_back: Whether a rollout that can go back to what served before waits with it until it
            is given up, and is not Stalled meanwhile.
    """

    name: str
    status: str
    conditions: tuple[ConditionType, ...]
    meaning: str
    runbook: str
    actor: Actor = Actor.NOBODY
    stalls: bool = False
    goes_back: bool = False

    @property
    def holds(self) -> bool:
        """Return whether a fact with this reason is True."""
        return self.status == "True"


_NOTHING = "Nothing."
_WORKERS_LOG = (
    "read the workers' log (`kubectl logs -l freehold.dev/model=NAME,ray.io/node-type=worker "
    "--all-containers --tail=200`)"
)


def _good(name: str, conditions: tuple[ConditionType, ...], meaning: str) -> Reason:
    return Reason(name, "True", conditions, meaning, _NOTHING)


def _waits(
    name: str,
    conditions: tuple[ConditionType, ...],
    meaning: str,
    runbook: str,
    actor: Actor = Actor.NOBODY,
    status: str = "False",
) -> Reason:
    """Return a reason that may pass by itself; ``actor`` must act when it does not."""
    return Reason(name, status, conditions, meaning, runbook, actor)


def _user(
    name: str,
    conditions: tuple[ConditionType, ...],
    meaning: str,
    runbook: str,
    *,
    goes_back: bool = False,
) -> Reason:
    return Reason(
        name, "False", conditions, meaning, runbook, Actor.USER, stalls=True, goes_back=goes_back
    )


def _admin(name: str, conditions: tuple[ConditionType, ...], meaning: str, runbook: str) -> Reason:
    return Reason(name, "False", conditions, meaning, runbook, Actor.ADMIN, stalls=True)


# -- Planned ---------------------------------------------------------------------------------
PLAN_MADE = _good("PlanMade", (PLANNED,), "The model fits on a candidate.")
INVALID_SPEC = _user(
    "InvalidSpec",
    (PLANNED,),
    "A field of the spec is wrong; the message names it, what was found and what is allowed.",
    "Correct the field that the message names and apply again.",
)
UNKNOWN_MODEL = _user(
    "UnknownModel",
    (PLANNED,),
    "The source does not have the model, or what it has is no model that can be planned.",
    "Correct spec.model.source or spec.model.revision, or describe the model under "
    "spec.model.architecture.",
)
GATED_MODEL = _user(
    "GatedModel",
    (PLANNED,),
    "The source gives the model out only to some, and no credentials that open it are given.",
    "On a hub: accept the model's licence, store a token of that account in a Secret under the key "
    "HF_TOKEN and name it in spec.model.credentials.secretRef. Of a bucket: let the keys in that "
    "Secret, or the cloud's role of spec.serviceAccountName, list and read it.",
)
SOURCE_UNREACHABLE = _waits(
    "SourceUnreachable",
    (PLANNED,),
    "The model's source does not answer; it is asked again.",
    "If it lasts: check the operator's way to a public hub (the chart's extraEnv: HTTPS_PROXY with "
    "a NO_PROXY for the API server, HF_ENDPOINT) or the pods' way to any other source (environment "
    "in spec.templates.worker).",
    Actor.ADMIN,
)
DESCRIBING_MODEL = _waits(
    "DescribingModel",
    (PLANNED,),
    "A pod of the model's namespace and service account reads the source: what the model is, and "
    "which commit or files the rollout is held to.",
    "If it lasts: `kubectl describe pod -l freehold.dev/model=NAME,freehold.dev/task=describe`.",
    Actor.USER,
)
DESCRIBE_FAILED = _waits(
    "DescribeFailed",
    (PLANNED,),
    "The pod that reads the source cannot be made, does not start, or ended without an answer; it "
    "is tried again.",
    "Mend what the message names: a Secret, a claim, a path or a quota that the pod needs, the way "
    "to the operator's image, or who may not make such pods in the namespace.",
    Actor.USER,
)
NOTHING_FITS = _user(
    "NothingFits",
    (PLANNED,),
    "No candidate carries the model; the message and status say what each of them lacks.",
    "Add a larger candidate, lower spec.model.contextLength or spec.workload, or take a quantized "
    "checkpoint.",
)
UNKNOWN_ACCELERATOR = _user(
    "UnknownAccelerator",
    (PLANNED,),
    "The spec names an AcceleratorClass that neither the catalogue nor the cluster has.",
    "Correct the name (the message lists those there are) or create the class.",
)
SERVED_NAME_TAKEN = _user(
    "ServedNameTaken",
    (PLANNED,),
    "An older ModelDeployment of the namespace serves a model under the same name.",
    "Give one of the two another spec.model.servedName.",
)

# -- Placed ----------------------------------------------------------------------------------
PODS_RUNNING = _good(
    "PodsRunning", (PLACED,), "The pods that serving needs run; more may be on their way."
)
NO_HARDWARE = _admin(
    "NoHardware",
    (PLACED,),
    "The model fits, but the cluster neither has such nodes nor can make them; the message names "
    "the classes it has that are nearest.",
    "Add such nodes, list another candidate, or, where an autoscaler makes them on demand, set "
    "provisionable in an AcceleratorClass. Nodes that are there and not seen lack the labels that "
    "the class looks for.",
)
NO_ENGINE_IMAGE = _user(
    "NoEngineImage",
    (PLACED,),
    "No image of the engine is known for the chosen accelerator and Ray version.",
    "Build an image with the engine and Ray for it, and name it in spec.engine.images, or for the "
    "whole cluster in an AcceleratorClass.",
)
KUBERAY_MISSING = _admin(
    "KubeRayMissing",
    (PLACED,),
    "The cluster does not know RayService.",
    "Install KubeRay (two lines, in docs/install.md); the model goes on by itself then.",
)
CHILD_NOT_OURS = _user(
    "ChildNotOurs",
    (PLACED,),
    "An object of the name that a child would have exists and belongs to somebody else; it is "
    "never taken over.",
    "Delete or rename that object, or rename the ModelDeployment.",
)
CHILD_REFUSED = _user(
    "ChildRefused",
    (PLACED,),
    "The API server refused a child: an admission policy, a quota or the schema.",
    "Read the refusal in the message; change the spec, or ask who keeps the policy.",
)
API_KEYS_MISSING = _user(
    "APIKeysMissing",
    (PLACED,),
    "The Secret that spec.endpoint.authentication.secretRef names is not there; pods would wait "
    "for it, so none are asked for. What runs goes on with the keys that it has.",
    "Make the Secret, each entry a key (`kubectl create secret generic NAME "
    "--from-literal=first=KEY`), or leave out secretRef, for a key that is made.",
    goes_back=True,
)
RAY_SERVICE_INVALID = _user(
    "RayServiceInvalid",
    (PLACED,),
    "KubeRay refuses the RayService (ValidationFailed).",
    "Read KubeRay's words in the message and correct the field, most often one in spec.templates.",
)
INITIALIZING_TIMEOUT = _waits(
    "InitializingTimeout",
    (PLACED,),
    "KubeRay gave up waiting for the cluster and deleted it, for good; the operator deletes the "
    "RayService and makes it anew, later and later.",
    "Find out why it did not start (Events of the pods) and who sets the annotation "
    "ray.io/initializing-timeout: the operator does not.",
    Actor.USER,
)
WAITING_FOR_OLD_CLUSTER = _waits(
    "WaitingForOldCluster",
    (PLACED,),
    "Rollout Recreate: the former cluster is being deleted before the new one is made.",
    "If it lasts: look for pods of the former cluster that do not end (`kubectl get pods -l "
    "freehold.dev/model=NAME`).",
    Actor.ADMIN,
)
CREATING = _waits(
    "Creating",
    (PLACED,),
    "The RayService or its cluster is about to be made.",
    "If it lasts: read the operator's log (`kubectl logs -n freehold-system deployment/freehold`).",
    Actor.ADMIN,
)
AWAITING_KUBERAY = _waits(
    "AwaitingKubeRay",
    (PLACED, SERVING),
    "KubeRay has not acted on the RayService yet.",
    "If it lasts: check that KubeRay's operator runs and watches the namespace.",
    Actor.ADMIN,
)
UNSCHEDULABLE = _waits(
    "Unschedulable",
    (PLACED, SCALED),
    "The scheduler finds no node for a pod; an autoscaler may be making one.",
    "If it lasts: free or add nodes, check quotas and taints; the message has the scheduler's "
    "words.",
    Actor.ADMIN,
)
IMAGE_PULL_FAILED = _waits(
    "ImagePullFailed",
    (PLACED, SCALED),
    "A node cannot pull the image of a pod.",
    "If it lasts: check the image's name (spec.engine.images or the AcceleratorClass), that nodes "
    "reach the registry, and imagePullSecrets in spec.templates.",
    Actor.USER,
)
PODS_CRASHING = _waits(
    "PodsCrashing",
    (PLACED, SCALED),
    "A container of a pod failed, perhaps again and again. Where Ray's autoscaler makes pods, "
    "KubeRay takes the pod away and makes another.",
    "Raise the memory limit where the message says OOMKilled. Else read the log of the pod that it "
    "names (`kubectl logs POD`, `--previous` where the container was started again; a pod that is "
    "gone has its log where logs are collected) and check spec.templates.",
    Actor.USER,
)
PODS_EVICTED = _waits(
    "PodsEvicted",
    (PLACED, SCALED),
    "A node ended a pod for what it took of it, such as disk. KubeRay starts another.",
    "If it comes again: raise or take out the limit that the message tells of (spec.templates), or "
    "make room on the node.",
    Actor.USER,
)
PODS_NOT_MADE = _waits(
    "PodsNotMade",
    (PLACED, SCALED),
    "KubeRay cannot make a pod: a quota of the namespace, an admission policy or the schema.",
    "Make room in what the message names, or change spec.templates; KubeRay tries again.",
    Actor.USER,
)
PODS_STARTING = _waits(
    "PodsStarting",
    (PLACED,),
    "Pods are being made, pull their image or start.",
    "If it lasts: `kubectl describe` the pods that the message names.",
    Actor.ADMIN,
)
NOT_PLANNED = _waits(
    "NotPlanned",
    (PLACED, SERVING, SCALED),
    "There is no plan to carry out; Planned says why.",
    "See Planned.",
    status="Unknown",
)

# -- Serving ---------------------------------------------------------------------------------
ANSWERS = _good("Answers", (SERVING,), "The engines that run have answered a request.")
SCALED_TO_ZERO = _good(
    "ScaledToZero",
    (SERVING, SCALED),
    "No replica is wanted and none runs. With autoscaling the first request wakes one.",
)
WAKING = _good("Waking", (SERVING,), "A request came at zero replicas; it waits while one starts.")
NOT_PLACED = _waits(
    "NotPlaced",
    (SERVING, SCALED),
    "Nothing runs that could answer; Placed says why.",
    "See Placed.",
    status="Unknown",
)
DEPLOYING = _waits(
    "Deploying",
    (SERVING,),
    "Serve starts the engine: it loads weights and compiles.",
    f"If it lasts: {_WORKERS_LOG}.",
    Actor.USER,
)
DEPLOY_FAILED = _user(
    "DeployFailed",
    (SERVING,),
    "Serve gave up starting the application; the message has its words. It is given to Serve "
    "again, later and later, for the case that the cause goes by itself.",
    "Correct what the message names (engine arguments, weights, memory) and apply again.",
    goes_back=True,
)
UNHEALTHY = _waits(
    "Unhealthy",
    (SERVING,),
    "Serve's health checks of a deployment fail; it replaces the replicas.",
    f"If it lasts: {_WORKERS_LOG}.",
    Actor.USER,
)
NO_SERVE_ENDPOINTS = _waits(
    "NoServeEndpoints",
    (SERVING,),
    "KubeRay finds no ready pod that takes requests.",
    "If it lasts: see why the head pod is not ready (`kubectl describe pod -l "
    "freehold.dev/model=NAME,ray.io/node-type=head`), and that KubeRay's pods are those that the "
    "chart's value networkPolicy.kuberay names: no others reach its ports 8265 and 8000.",
    Actor.ADMIN,
)
PROBING = _waits(
    "Probing",
    (SERVING,),
    "The engines run, and a first request to them is under way: it may compile for a while.",
    "If it lasts: check that the operator reaches port 8000 of the head pod (NetworkPolicy).",
    Actor.ADMIN,
)
ENDPOINT_UNANSWERED = _waits(
    "EndpointUnanswered",
    (SERVING,),
    "The engines run, yet a request of one token was not answered.",
    f"Look for EngineDeadError: {_WORKERS_LOG}. Check that the operator reaches port 8000 of the "
    "head pod (NetworkPolicy).",
    Actor.USER,
)

# -- Scaled ----------------------------------------------------------------------------------
AS_DESIRED = _good("AsDesired", (SCALED,), "As many replicas run as are wanted.")
SCALING_UP = _waits(
    "ScalingUp",
    (SCALED,),
    "Replicas are starting.",
    "If it lasts: see the pods' Events (`kubectl describe pod -l freehold.dev/model=NAME`).",
)
SCALING_DOWN = _waits("ScalingDown", (SCALED,), "Replicas finish their requests and end.", _NOTHING)
NOT_COUNTED = _waits(
    "NotCounted",
    (SCALED,),
    "Serve does not tell its replicas at the moment.",
    "If it lasts: check that the operator reaches port 8265 of the head pod (NetworkPolicy).",
    Actor.ADMIN,
    status="Unknown",
)

# -- Reconciling, Stalled and the states of the whole object ----------------------------------
UPDATING_IN_PLACE = _good(
    "UpdatingInPlace", (RECONCILING,), "A change is applied that Serve takes in place."
)
REPLACING_REPLICAS = _good(
    "ReplacingReplicas",
    (RECONCILING,),
    "A change is applied for which Serve replaces the replicas inside the cluster: by successors "
    "that start beside them, or with rollout Recreate after they have ended.",
)
BUILDING_NEW_CLUSTER = _good(
    "BuildingNewCluster",
    (RECONCILING,),
    "A change is applied for which a new Ray cluster is built; the former one serves until then.",
)
ROLLING_OUT = _good("RollingOut", (RECONCILING,), "A revision is being rolled out.")
RETRYING = Reason(
    "Retrying",
    "True",
    (RECONCILING,),
    "The pass ended in an error that may pass (an API server that is away, throttles or answers "
    "an error); it is tried again. What was known before still stands.",
    "If it lasts: the message has the API server's words; where it denies a right, compare the "
    "operator's roles with the chart's.",
    Actor.ADMIN,
)
SETTLED = Reason(
    "Settled", "False", (RECONCILING, STALLED), "Nothing is under way, nothing is wrong.", _NOTHING
)
IN_PROGRESS = Reason(
    "InProgress", "False", (STALLED,), "It is under way; Reconciling says what.", _NOTHING
)
ACTION_NEEDED = Reason(
    "ActionNeeded",
    "False",
    (RECONCILING,),
    "Nothing is under way: somebody must act, Stalled says on what.",
    "See Stalled.",
    Actor.USER,
)
PROGRESS_DEADLINE_EXCEEDED = Reason(
    "ProgressDeadlineExceeded",
    "True",
    (STALLED,),
    "What was under way has not ended within spec.rollout.progressDeadline.",
    "Do what the runbook says of Ready's reason; work goes on by itself as soon as it can. Where a "
    "former revision has served, the operator goes back to it instead (RolledBack).",
    Actor.USER,
    stalls=True,
)
ROLLED_BACK = Reason(
    "RolledBack",
    "True",
    (STALLED,),
    "The rollout of the present spec did not come to its end and was given up: the revision that "
    "served before is what runs. The message has the cause, with the pod, and both revisions.",
    "Read the cause, correct the spec and apply: another spec is tried at once. The very same is "
    "tried again when the spec has asked for another in between, or with another "
    "spec.rollout.progressDeadline; counts and suspend go on applying to what serves.",
    Actor.USER,
    stalls=True,
)
SUSPENDING = _good("Suspending", (RECONCILING,), "spec.suspend: the hardware is being released.")
SUSPENDED = _waits(
    "Suspended",
    (PLACED, SERVING, SCALED),
    "spec.suspend is true: nothing runs, and nothing wakes it.",
    "Set spec.suspend to false to serve again.",
)
PAUSED = Reason(
    "Paused",
    "False",
    (READY, RECONCILING),
    "The annotation freehold.dev/paused keeps the operator from writing any child.",
    "Remove the annotation to go on (`kubectl annotate fmd NAME freehold.dev/paused-`).",
    Actor.USER,
)
DELETING = _good("Deleting", (RECONCILING,), "The object is being deleted; its children follow it.")
PENDING = _waits(
    "Pending",
    (PLANNED, PLACED, SERVING, SCALED),
    "It could not be looked at yet.",
    "See Reconciling.",
    status="Unknown",
)

# -- Events alone ----------------------------------------------------------------------------
ROLLED_OUT = Reason("RolledOut", "", (), "Event: a revision serves from now on.", _NOTHING)
SCALED_EVENT = Reason("ReplicasChanged", "", (), "Event: another number is wanted.", _NOTHING)

REASONS: Mapping[str, Reason] = {
    value.name: value for value in list(globals().values()) if isinstance(value, Reason)
}
