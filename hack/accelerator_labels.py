"""How each environment and labeller marks a node: its device, spot, and devices in parts."""

from __future__ import annotations

import re
from typing import Any, Protocol

Data = dict[str, Any]


class Inline(Data):
    """A mapping that is written on one line."""


def requirement(key: str, *values: str) -> Inline:
    """Return ``key In values``."""
    return Inline(key=key, operator="In", values=list(values))


def without(key: str, *values: str) -> Inline:
    """Return ``key NotIn values``, or that the label is not there at all."""
    if not values:
        return Inline(key=key, operator="DoesNotExist")
    return Inline(key=key, operator="NotIn", values=list(values))


def term(*requirements: Data) -> Data:
    """Return a selector term: all of its requirements hold."""
    return {"matchExpressions": list(requirements)}


def split(cell: str) -> list[str]:
    """Return the values of a cell that holds several, or none for ``-`` and an empty cell."""
    return [part for part in re.split(r"[;,]\s*", cell) if part not in ("", "-")]


def equal(key: str, value: str) -> Data:
    """Return a toleration of one exact taint."""
    return {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}


class Built(Protocol):
    """A class of the catalogue while it is put together."""

    extra: Data
    vendor: str

    def cell(self, column: str) -> str:
        """Return a cell of the table."""


def aws_terms(built: Built, shape: Data) -> list[Data]:
    """Karpenter, EKS Auto Mode, managed node groups.

    The memory label tells A100 40 and 80 GB apart and leaves out fractions of an L4.
    """
    machines = term(requirement("node.kubernetes.io/instance-type", *shape["machines"]))
    if built.vendor == "aws":
        name = requirement("karpenter.k8s.aws/instance-accelerator-name", "trainium2")
        return [term(name), machines]
    known = built.extra.get("karpenterAws", {})
    labels = {
        "name": known.get("name") or built.cell("aws_karpenter_gpu_name"),
        "memory": known.get("memory") or built.cell("aws_karpenter_gpu_memory_mib"),
        "count": str(shape["devices"]),
    }
    return [
        term(*(requirement(f"{group}/instance-gpu-{key}", v) for key, v in labels.items()))
        for group in ("karpenter.k8s.aws", "eks.amazonaws.com")
    ] + [machines]


def azure_terms(built: Built, shape: Data) -> list[Data]:
    """AKS pools and node auto-provisioning: only the machine size tells the memory apart."""
    keys = ("node.kubernetes.io/instance-type", "karpenter.azure.com/sku-name")
    return [term(requirement(key, *shape["machines"])) for key in keys]


def gcp_terms(built: Built, shape: Data) -> list[Data]:
    """GKE node pools by machine type, Autopilot by device count, TPUs by topology."""
    if tpu := built.extra.get("tpu"):
        accelerator = requirement("cloud.google.com/gke-tpu-accelerator", tpu["accelerator"])
        topology = requirement("cloud.google.com/gke-tpu-topology", shape["topology"])
        return [term(accelerator, topology)]
    names = [shape["accelerator"]] if "accelerator" in shape else built.extra.get("gke")
    names = names or split(built.cell("gke_accelerator_label"))
    accelerator = requirement("cloud.google.com/gke-accelerator", *names)
    machines = requirement("node.kubernetes.io/instance-type", *shape["machines"])
    count = requirement("cloud.google.com/gke-accelerator-count", str(shape["devices"]))
    return [term(accelerator, machines), term(accelerator, count)]


def oci_terms(built: Built, shape: Data) -> list[Data]:
    """OKE pools and Karpenter for OCI."""
    keys = ("node.kubernetes.io/instance-type", "oci.oraclecloud.com/instance-shape")
    return [term(requirement(key, *shape["machines"])) for key in keys]


def coreweave_terms(built: Built, shape: Data) -> list[Data]:
    """CoreWeave's class label, in its newer and its older spelling, and the machine."""
    terms = [term(requirement("gpu.nvidia.com/class", *shape["classes"]))]
    if shape["machines"]:
        terms.append(term(requirement("node.kubernetes.io/instance-type", *shape["machines"])))
    return terms


def nebius_terms(built: Built, shape: Data) -> list[Data]:
    """Nebius' device name, with the preset where it tells the number of devices."""
    presets = shape.get("presets")
    preset = [requirement("nebius.com/resource-preset", *presets)] if presets else []
    return [term(requirement("nebius.com/gpu-name", built.cell("nebius_gpu_name")), *preset)]


TERMS = {
    "aws": aws_terms,
    "azure": azure_terms,
    "gcp": gcp_terms,
    "oci": oci_terms,
    "coreweave": coreweave_terms,
    "nebius": nebius_terms,
}

# What parts of devices bear that are offered under the resource name of whole ones. The vendors'
# labellers run in every environment, so that their labels stand beside a cloud's own. NVIDIA's
# mixed MIG strategy is not among them: it offers partitions under names of their own.
PARTED: dict[str, list[Data]] = {
    "nvidia": [
        without("nvidia.com/gpu.slices.gi"),
        without("nvidia.com/gpu.sharing-strategy", "time-slicing", "mps"),
    ],
    "amd": [
        without(
            "amd.com/compute-memory-partition",
            *(
                f"{compute}_nps{memory}"
                for compute in ("dpx", "tpx", "qpx", "cpx")
                for memory in (1, 2, 4, 8)
            ),
        )
    ],
}
PARTED_BY_GKE = [
    without("cloud.google.com/gke-gpu-partition-size"),
    without("cloud.google.com/gke-gpu-sharing-strategy"),
]

# OCI's GPU shapes are not preemptible, and CoreWeave documents no Spot label.
SPOT: dict[str, Data] = {
    "aws": {
        "nodeSelectorTerms": [
            term(requirement("karpenter.sh/capacity-type", "spot")),
            term(requirement("eks.amazonaws.com/capacityType", "SPOT")),
        ]
    },
    "azure": {
        # the second label is the deprecated one, which older pools still carry alone
        "nodeSelectorTerms": [
            term(requirement("kubernetes.azure.com/priority", "spot")),
            term(requirement("kubernetes.azure.com/scalesetpriority", "spot")),
            term(requirement("karpenter.sh/capacity-type", "spot")),
        ],
        "tolerations": [equal("kubernetes.azure.com/scalesetpriority", "spot")],
    },
    "gcp": {
        "nodeSelectorTerms": [
            term(requirement("cloud.google.com/gke-spot", "true")),
            term(requirement("cloud.google.com/gke-provisioning", "spot", "preemptible")),
            # what Spot VMs were before, taken away after a day besides
            term(requirement("cloud.google.com/gke-preemptible", "true")),
        ],
        "tolerations": [equal("cloud.google.com/gke-spot", "true")],
    },
    "nebius": {"nodeSelectorTerms": [term(requirement("nebius.com/preemptible", "true"))]},
}
