"""ModelDeployment: a model, its hardware and its replicas, as a user declares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from freehold.api.architecture import StatedModel
from freehold.api.base import ApiModel, Rule, all_differ
from freehold.api.names import OPERATOR, generated_key_secret_name
from freehold.api.scalars import (
    Count,
    DeviceCount,
    Duration,
    Label,
    LabelKey,
    LabelValue,
    ObjectName,
    PositiveCount,
    StageCount,
    Text,
    duration_seconds,
)
from freehold.api.status import ModelDeploymentStatus

# What \s matches differs between Python and the API server's regular expressions; both take this.
_VISIBLE = r"[^\x00-\x20\x7f]"
Source = Annotated[
    str,
    Text(
        rf"^((hf|s3|gs|abfss|oci)://[A-Za-z0-9._~%+@:-]+(/{_VISIBLE}*)?"
        rf"|pvc://[a-z0-9][-a-z0-9.]*(/{_VISIBLE}*)?|file:///{_VISIBLE}+)$",
        "hf://ORG/MODEL, s3://BUCKET/PATH, gs://BUCKET/PATH, abfss://CONTAINER@ACCOUNT/PATH,"
        " oci://REGISTRY/IMAGE, pvc://CLAIM/PATH or file:///ABSOLUTE/PATH",
        1024,
    ),
]
Revision = Annotated[
    str,
    Text(
        r"^[A-Za-z0-9._][A-Za-z0-9._/-]*$", "a branch, tag or commit such as main or 0e9e39f", 128
    ),
]
ServedName = Annotated[
    str,
    Text(
        r"^[A-Za-z0-9][A-Za-z0-9._/-]*$",
        "letters, digits, '.', '_', '-' and '/', without ':' (it separates an adapter's name)",
        128,
    ),
]
Purchase = Literal["OnDemand", "Spot"]


class SecretReference(ApiModel):
    """A Secret in the ModelDeployment's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")


class Credentials(ApiModel):
    """What opens the model's source."""

    secret_ref: SecretReference = Field(
        description="Secret with the source's credentials: HF_TOKEN, variables of AWS or Azure, "
        "credentials.json of Google, or a registry's login."
    )


class ModelSource(ApiModel):
    """Which model is served, from where, and under which name."""

    source: Source = Field(description="Where the weights are: a URL with one of the schemes.")
    revision: Revision | None = Field(
        default=None,
        description="Branch, tag or commit of a hub; the commit it means at the rollout is what "
        "stays. Of any other source a name of yours for what the files are now: another one rolls "
        "out the files that are there then.",
    )
    served_name: ServedName | None = Field(
        default=None,
        description="Name of the model at the endpoint. Default: the object's name.",
    )
    context_length: PositiveCount | None = Field(
        default=None,
        description="Longest request in tokens, prompt and answer. Default: the longest that "
        "fits, up to the model's own limit.",
    )
    credentials: Credentials | None = Field(
        default=None, description="Credentials for a source that asks for them."
    )
    architecture: StatedModel | None = Field(
        default=None,
        description="The model's shape, only for one that neither the catalogue nor the source "
        "describes.",
    )


class Workload(ApiModel):
    """What one replica must hold in its KV cache at once."""

    concurrent_requests: PositiveCount = Field(
        default=1, description="Requests that one replica works on at the same time."
    )
    prompt_tokens: PositiveCount = Field(description="Tokens of a typical long prompt.")
    output_tokens: PositiveCount = Field(description="Tokens of a typical long answer.")


class Parallelism(ApiModel):
    """How one replica is split over devices."""

    tensor: DeviceCount = Field(default=1, description="Tensor parallel size.")
    pipeline: StageCount = Field(default=1, description="Pipeline parallel size.")


class Candidate(ApiModel):
    """One kind of hardware that the model may run on."""

    name: Label = Field(description="Name of the candidate; its worker group bears it.")
    accelerator: ObjectName = Field(description="Name of an AcceleratorClass.")
    purchase: Purchase = Field(
        default="OnDemand", description="Spot capacity that may be taken away, or on-demand."
    )
    parallelism: Parallelism | None = Field(
        default=None, description="Split of one replica. Default: planned."
    )


class Hardware(ApiModel):
    """The hardware a model may run on."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "candidates",
            "candidates with different names",
            "self.candidates.all(a, self.candidates.exists_one(b, b.name == a.name))",
            lambda h: all_differ(it.name for it in h.candidates),
        ),
    )

    candidates: tuple[Candidate, ...] = Field(
        min_length=1,
        max_length=16,
        description="In order of preference; the first that fits is taken.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class AutoscalingTarget(ApiModel):
    """What the replicas are scaled for."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "timeToFirstToken",
            "above 0",
            "!has(self.timeToFirstToken) || duration(self.timeToFirstToken) > duration('0s')",
            lambda t: t.time_to_first_token is None or duration_seconds(t.time_to_first_token) > 0,
        ),
    )

    time_to_first_token: Duration | None = Field(
        default=None,
        description="Time within which 98 of 100 requests should have their first token. "
        "Default: 2s.",
    )


class Autoscaling(ApiModel):
    """Replicas that follow the depth of the queue."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "maxReplicas",
            "at least minReplicas",
            "self.maxReplicas >= self.minReplicas",
            lambda a: a.max_replicas >= a.min_replicas,
        ),
        Rule(
            "scaleToZeroAfter",
            "only with minReplicas 0",
            "!has(self.scaleToZeroAfter) || self.minReplicas == 0",
            lambda a: a.scale_to_zero_after is None or a.min_replicas == 0,
        ),
    )

    min_replicas: Count = Field(
        description="Replicas that are always there; 0 releases the hardware when idle."
    )
    max_replicas: PositiveCount = Field(description="Replicas at the most.")
    target: AutoscalingTarget | None = Field(
        default=None, description="What to scale for; nothing else needs to be tuned."
    )
    scale_to_zero_after: Duration | None = Field(
        default=None, description="Idle time before the last replica goes. Default: 10m."
    )


class Rollout(ApiModel):
    """How a change that needs new replicas is carried out."""

    type: Literal["BlueGreen", "Recreate"] = Field(
        default="BlueGreen",
        description="BlueGreen serves from the old until the new answers, which takes hardware for "
        "both; Recreate frees the hardware first.",
    )
    progress_deadline: Duration | None = Field(
        default=None,
        description="Time after which a rollout goes back to what served before, and anything "
        "else that is not done counts as stalled. Default: 30m.",
    )


class Authentication(ApiModel):
    """Who may call the endpoint."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "secretRef",
            "only with type APIKey",
            "!has(self.secretRef) || self.type == 'APIKey'",
            lambda a: a.secret_ref is None or a.type == "APIKey",
        ),
    )

    type: Literal["APIKey", "None"] = Field(
        description="APIKey asks for a bearer key; None, which must be written, for nothing."
    )
    secret_ref: SecretReference | None = Field(
        default=None, description="Secret whose values are the keys. Default: one is generated."
    )


class LabelSelectorRequirement(ApiModel):
    """One requirement of a label selector."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "values",
            "one or more with In and NotIn, none with Exists and DoesNotExist",
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            lambda r: (r.operator in ("In", "NotIn")) == bool(r.values),
        ),
    )

    key: LabelKey = Field(description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label's value relates to values."
    )
    values: tuple[LabelValue, ...] | None = Field(
        default=None, max_length=64, description="Values for In and NotIn."
    )


class LabelSelector(ApiModel):
    """A Kubernetes label selector."""

    match_labels: dict[str, LabelValue] | None = Field(
        default=None, description="Labels that must be there with these values."
    )
    match_expressions: tuple[LabelSelectorRequirement, ...] | None = Field(
        default=None, max_length=64, description="Requirements that must all hold."
    )


class AllowedNamespaces(ApiModel):
    """Namespaces whose pods may reach the endpoint."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "selector",
            "present exactly when from is Selector",
            "has(self.selector) == (self.from == 'Selector')",
            lambda a: (a.selector is not None) == (a.from_ == "Selector"),
        ),
    )

    from_: Literal["Same", "All", "Selector"] = Field(
        alias="from", description="Same: the object's own namespace. Selector: by label."
    )
    selector: LabelSelector | None = Field(
        default=None,
        description="Labels of the allowed namespaces; the object's own is one where it has them.",
    )


class Endpoint(ApiModel):
    """The model's OpenAI-compatible endpoint."""

    authentication: Authentication | None = Field(
        default=None, description="Who may call it. Default: APIKey with a generated key."
    )
    allowed_namespaces: AllowedNamespaces | None = Field(
        default=None, description="Who may reach it. Default: the object's own namespace."
    )


class EngineImage(ApiModel):
    """The image of the engine on one accelerator class."""

    accelerator: ObjectName = Field(description="Name of an AcceleratorClass.")
    image: str = Field(min_length=1, max_length=1024, description="Container image.")


class Engine(ApiModel):
    """The inference engine."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "images",
            "images for different accelerators",
            "!has(self.images) || "
            "self.images.all(a, self.images.exists_one(b, b.accelerator == a.accelerator))",
            lambda e: all_differ(it.accelerator for it in e.images or ()),
        ),
    )

    name: Literal["vllm"] = Field(default="vllm", description="The engine's name.")
    args: dict[str, Any] | None = Field(
        default=None,
        description="Engine arguments by the engine's own names, such as max_num_seqs. What the "
        "plan decides (parallelism, context length) has fields of its own.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    images: tuple[EngineImage, ...] | None = Field(
        default=None,
        max_length=64,
        description="Images by accelerator class. Default: what the class names.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["accelerator"],
        },
    )


_PRESERVED: JsonDict = {"x-kubernetes-preserve-unknown-fields": True}


class Templates(ApiModel):
    """Overlays on the pod templates, for the rare need."""

    head: dict[str, Any] | None = Field(
        default=None,
        description="Strategic-merge overlay on the head's pod template.",
        json_schema_extra=_PRESERVED,
    )
    worker: dict[str, Any] | None = Field(
        default=None,
        description="Strategic-merge overlay on the workers' pod template.",
        json_schema_extra=_PRESERVED,
    )


class ModelDeploymentSpec(ApiModel):
    """What the user wants."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "replicas",
            "one of replicas and autoscaling, not both",
            "!(has(self.replicas) && has(self.autoscaling))",
            lambda s: s.replicas is None or s.autoscaling is None,
        ),
    )

    managed_by: str = Field(
        default=OPERATOR,
        min_length=1,
        max_length=253,
        description="Controller that acts on the object; any other value is left alone.",
        json_schema_extra={
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "immutable"}]
        },
    )
    suspend: bool = Field(default=False, description="Releases the hardware and keeps the object.")
    model: ModelSource = Field(description="The model.")
    service_account_name: ObjectName | None = Field(
        default=None, description="ServiceAccount of the pods, for workload identity."
    )
    workload: Workload | None = Field(
        default=None,
        description="What one replica must hold. Default: one request of full context.",
    )
    hardware: Hardware | None = Field(
        default=None,
        description="Where it may run. Default: every class that fits, cheapest first.",
    )
    replicas: Count | None = Field(
        default=None, description="A fixed number of replicas. Default without autoscaling: 1."
    )
    autoscaling: Autoscaling | None = Field(
        default=None, description="Replicas that follow the queue, instead of replicas."
    )
    rollout: Rollout | None = Field(default=None, description="How changes are carried out.")
    endpoint: Endpoint | None = Field(default=None, description="The endpoint.")
    engine: Engine | None = Field(default=None, description="The inference engine.")
    templates: Templates | None = Field(default=None, description="Pod template overlays.")

    @property
    def recreates(self) -> bool:
        """Return whether the hardware is freed before what is new takes it."""
        return self.rollout is not None and self.rollout.type == "Recreate"


class ObjectMeta(ApiModel):
    """The part of Kubernetes' metadata that Freehold reads; the rest is let through."""

    model_config = ConfigDict(extra="allow")

    name: Label = Field(description="Name of the object.")
    namespace: ObjectName | None = Field(default=None, description="Namespace of the object.")
    labels: dict[str, str] | None = Field(default=None, description="Labels.")
    annotations: dict[str, str] | None = Field(default=None, description="Annotations.")


# KubeRay names a RayService's own Services so, and overwrites one that it finds there.
_TAKEN_ENDINGS = ("-head-svc", "-serve-svc")


def _named_key_secret(spec: ModelDeploymentSpec) -> str | None:
    endpoint = spec.endpoint
    authentication = endpoint.authentication if endpoint is not None else None
    reference = authentication.secret_ref if authentication is not None else None
    return reference.name if reference is not None else None


class ModelDeployment(ApiModel):
    """A model, its hardware and its replicas."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "metadata.name",
            f"a name that does not end in {' or '.join(_TAKEN_ENDINGS)}, as the Services do that "
            "KubeRay makes for another model",
            " && ".join(f"!self.metadata.name.endsWith('{it}')" for it in _TAKEN_ENDINGS),
            lambda m: not m.metadata.name.endswith(_TAKEN_ENDINGS),
        ),
        Rule(
            "spec.endpoint.authentication.secretRef.name",
            "another name than that of the Secret that is made where none is named "
            "(metadata.name and '-api-key')",
            "!has(self.spec.endpoint) || !has(self.spec.endpoint.authentication) || "
            "!has(self.spec.endpoint.authentication.secretRef) || "
            "self.spec.endpoint.authentication.secretRef.name != self.metadata.name + '-api-key'",
            lambda m: _named_key_secret(m.spec) != generated_key_secret_name(m.metadata.name),
        ),
    )

    api_version: Literal["freehold.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["ModelDeployment"] = Field(description="Kind.")
    metadata: ObjectMeta = Field(description="Standard object metadata.")
    spec: ModelDeploymentSpec = Field(description="What is wanted.")
    status: ModelDeploymentStatus | None = Field(default=None, description="What is.")

    @property
    def name(self) -> str:
        """Return the object's name."""
        return self.metadata.name

    @property
    def named_key_secret(self) -> str | None:
        """Return the Secret that the user names for the endpoint's keys; None for none."""
        return _named_key_secret(self.spec)

    @property
    def asks_for_key(self) -> bool:
        """Return whether the endpoint asks its callers for a key."""
        endpoint = self.spec.endpoint
        authentication = endpoint.authentication if endpoint is not None else None
        return authentication is None or authentication.type != "None"

    @property
    def engine_args(self) -> Mapping[str, Any]:
        """Return the engine arguments that the user wrote; empty where there are none."""
        return (self.spec.engine.args if self.spec.engine else None) or {}

    @property
    def served_name(self) -> str:
        """Return the name under which the endpoint serves the model."""
        return self.spec.model.served_name or self.metadata.name
