"""AcceleratorClass: what an accelerator is, and how each environment names it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from freehold.api.base import ApiModel, Rule, all_differ
from freehold.api.modeldeployment import ObjectMeta, Purchase
from freehold.api.scalars import DeviceCount, ObjectName, PositiveCount, PositiveQuantity, Text

Amount = Annotated[
    str, Text(r"^[0-9]{1,9}(\.[0-9]{1,6})?$", 'a decimal amount in quotes, such as "6.88"', 16)
]
Currency = Annotated[str, Text(r"^[A-Z]{3}$", "an ISO 4217 code such as USD", 3)]
Day = Annotated[
    str, Text(r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$", "a date such as 2026-07-20 or 2026-07", 10)
]


class Interconnect(ApiModel):
    """The link between the devices of one node."""

    type: str = Field(max_length=64, description="Name of the link, such as NVLink or PCIe.")
    fast: bool = Field(
        description="Whether tensor parallelism over it pays; over PCIe pipelines are better."
    )
    bandwidth: PositiveCount | None = Field(default=None, description="GB/s for one device.")


class Price(ApiModel):
    """The list price of one device for one hour, with its share of the host."""

    purchase: Purchase = Field(description="OnDemand or Spot.")
    amount: Amount = Field(description="Decimal amount for one device-hour.")
    currency: Currency = Field(description="ISO 4217 code.")
    region: str | None = Field(default=None, max_length=64, description="Region of the price.")
    as_of: Day | None = Field(default=None, description="Day on which the price was read.")


class SelectorRequirement(ApiModel):
    """One requirement on a node's labels."""

    key: str = Field(min_length=1, max_length=317, description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(
        description="How the label's value relates to values."
    )
    values: tuple[str, ...] | None = Field(
        default=None, max_length=64, description="Values for In, NotIn, Gt and Lt."
    )


class SelectorTerm(ApiModel):
    """Requirements that must all hold; terms are alternatives."""

    match_expressions: tuple[SelectorRequirement, ...] = Field(
        min_length=1, max_length=32, description="Requirements on a node's labels."
    )


class Toleration(ApiModel):
    """A taint that pods for this shape tolerate."""

    key: str = Field(max_length=317, description="Taint key.")
    operator: Literal["Equal", "Exists"] | None = Field(
        default=None, description="Exists, or Equal to value. Default: Equal."
    )
    value: str | None = Field(default=None, max_length=63, description="Taint value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Taint effect. Default: every effect."
    )


class SpotSelection(ApiModel):
    """How this environment marks spot nodes."""

    node_selector_terms: tuple[SelectorTerm, ...] | None = Field(
        default=None, max_length=16, description="Labels of a spot node; terms are alternatives."
    )
    tolerations: tuple[Toleration, ...] | None = Field(
        default=None, max_length=16, description="Taints of a spot node."
    )


class NodeShape(ApiModel):
    """A machine that carries this accelerator, and how its environment labels it."""

    name: ObjectName = Field(description="Name of the shape.")
    provider: str = Field(max_length=64, description="Cloud, or onprem.")
    devices: DeviceCount = Field(description="Devices in one node.")
    resource_name: str | None = Field(
        default=None, max_length=317, description="Resource name, where it differs from the class."
    )
    extra_resources: dict[str, str] | None = Field(
        default=None, description="Further resources a worker pod asks for, such as EFA."
    )
    node_selector_terms: tuple[SelectorTerm, ...] | None = Field(
        default=None, max_length=16, description="Labels of such a node; terms are alternatives."
    )
    tolerations: tuple[Toleration, ...] | None = Field(
        default=None, max_length=16, description="Taints of such a node."
    )
    spot: SpotSelection | None = Field(default=None, description="How spot nodes are marked.")
    prices: tuple[Price, ...] | None = Field(
        default=None, max_length=32, description="List prices of one device."
    )


class ClassImage(ApiModel):
    """The image of an engine on this accelerator."""

    engine: Literal["vllm"] = Field(description="The engine's name.")
    ray_version: str = Field(max_length=32, description="Ray version inside the image.")
    image: str = Field(min_length=1, max_length=1024, description="Container image.")


Feature = Literal[
    "bf16",
    "fp8",
    "fp8-kv",
    "fp8-weights",
    "int4-weights",
    "int8",
    "mxfp4",
    "mxfp4-weights",
    "nvfp4",
    "nvfp4-weights",
]


class AcceleratorClassSpec(ApiModel):
    """What the accelerator is. With ``extends``, only what differs."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "",
            "extends, or vendor with memory and nodeShapes",
            "has(self.extends) || (has(self.vendor) && has(self.memory) && has(self.nodeShapes))",
            lambda s: bool(s.extends or (s.vendor and s.memory and s.node_shapes)),
        ),
        Rule(
            "features",
            "each feature once",
            "!has(self.features) || self.features.all(a, self.features.exists_one(b, b == a))",
            lambda s: all_differ(s.features or ()),
        ),
        Rule(
            "nodeShapes",
            "shapes with different names",
            "!has(self.nodeShapes) || "
            "self.nodeShapes.all(a, self.nodeShapes.exists_one(b, b.name == a.name))",
            lambda s: all_differ(it.name for it in s.node_shapes or ()),
        ),
    )

    extends: ObjectName | None = Field(
        default=None, description="Class whose fields are taken where this one says nothing."
    )
    description: str | None = Field(default=None, max_length=256, description="A line about it.")
    vendor: Literal["nvidia", "amd", "intel", "google", "aws", "cpu"] | None = Field(
        default=None, description="Who makes it; cpu for workers without an accelerator."
    )
    memory: PositiveQuantity | None = Field(
        default=None, description="Memory that one device offers, as its driver reports it."
    )
    cores: PositiveCount | None = Field(
        default=None, description="Cores of one worker; only for vendor cpu."
    )
    memory_bandwidth: PositiveCount | None = Field(
        default=None, description="GB/s between a device and its memory."
    )
    compute_capability: str | None = Field(
        default=None, max_length=32, description="Such as 9.0 or gfx942."
    )
    features: tuple[Feature, ...] | None = Field(
        default=None,
        max_length=16,
        description="Number formats: computed natively, or -weights when only stored in it.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    ray_accelerator_type: str | None = Field(
        default=None, max_length=64, description="Ray's constant for it, where there is one."
    )
    interconnect: Interconnect | None = Field(
        default=None, description="The link between the devices of one node."
    )
    resource_name: str | None = Field(
        default=None, max_length=317, description="Kubernetes resource, such as nvidia.com/gpu."
    )
    provisionable: bool | None = Field(
        default=None,
        description="Whether an autoscaler can make such nodes though none exists now.",
    )
    node_shapes: tuple[NodeShape, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Machines that carry it.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    images: tuple[ClassImage, ...] | None = Field(
        default=None, max_length=16, description="Images per engine and Ray version."
    )


class ClassMeta(ObjectMeta):
    """Metadata of a cluster-scoped class."""

    name: ObjectName = Field(description="Name of the class, such as h100-80gb.")


class AcceleratorClass(ApiModel):
    """What an accelerator is, and how each environment names it."""

    api_version: Literal["freehold.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["AcceleratorClass"] = Field(description="Kind.")
    metadata: ClassMeta = Field(description="Standard object metadata.")
    spec: AcceleratorClassSpec = Field(description="What it is.")

    @property
    def name(self) -> str:
        """Return the class's name."""
        return self.metadata.name
