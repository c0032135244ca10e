"""Write the accelerator classes of the catalogue from a table and a hand-written file.

``accelerators.csv`` holds one row per accelerator, ``accelerator_extras.yaml`` the machines that
carry it and what else a flat table cannot say (``hack/README.md`` names the sources)::

    python hack/generate_accelerators.py           # write the file
    python hack/generate_accelerators.py --check   # exit 1 when the committed file differs

The result depends on nothing but the two files.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

Data = dict[str, Any]

HERE = Path(__file__).parent
TABLE = HERE / "accelerators.csv"
EXTRAS = HERE / "accelerator_extras.yaml"
TARGET = HERE.parent / "operator" / "freehold" / "catalog" / "accelerators.yaml"
HEADER = """\
# The built-in accelerator classes. Written by hack/generate_accelerators.py; do not edit.
# memory: MiB of one device as its driver prints it. Bandwidths: GB/s. Prices: one device, one hour.
"""

# What a cluster commonly taints such nodes with; a toleration without the taint does nothing.
TAINTED_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu", "google.com/tpu", "aws.amazon.com/neuron")
LINKS = r"NVLink|PCIe|Infinity Fabric|ICI|NeuronLink|RoCE"


class Inline(Data):
    """A mapping that is written on one line."""


class Plain(yaml.SafeDumper):
    """Writes every value in full: an anchor would be noise to a reader."""

    def ignore_aliases(self, data: object) -> bool:
        """Never write an alias."""
        return True


def represent_inline(dumper: yaml.SafeDumper, value: Inline) -> yaml.MappingNode:
    """Write an Inline between braces."""
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)


Plain.add_representer(Inline, represent_inline)


def read_table() -> dict[str, dict[str, str]]:
    """Return the table's rows by name, without its comment lines."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#"))
        return {row["name"]: row for row in csv.DictReader(lines)}


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


class Class:
    """One class of the catalogue while it is put together."""

    def __init__(self, extra: Data, row: dict[str, str], defaults: Data) -> None:
        self.extra, self.row, self.defaults = extra, row, defaults
        self.vendor: str = extra.get("vendor") or row["vendor"]
        self.resource: str = extra.get("resourceName") or row["k8s_resource"]

    def cell(self, column: str) -> str:
        """Return a cell of the table, empty for a class that stands on the extras alone."""
        return self.row.get(column, "")

    def products(self) -> list[str]:
        """Return the values of the product label for whole devices on a fast link."""
        listed: list[str] = self.extra.get("products") or split(self.cell("gfd_product_examples"))
        return [name for name in listed if name not in self.extra.get("pcieProducts", ())]

    def link(self) -> Data:
        """Return the interconnect: the table's words, overridden by the extras."""
        words = self.cell("intra_node_link")
        found: Data = {}
        if name := re.search(LINKS, words):
            found = {"type": name[0], "fast": name[0] != "PCIe"}
        if speed := re.search(r"([0-9.]+) (GB|TB)/s", words):
            found["bandwidth"] = round(float(speed[1]) * (1000 if speed[2] == "TB" else 1))
        found.update(self.extra.get("link", {}))
        return found

    def spec(self, image: Data) -> Data:
        """Return the class's spec in the order of the API reference."""
        extra, row = self.extra, self.row
        bandwidth = extra.get("bandwidth") or (row and round(float(row["hbm_tb_s"]) * 1000))
        constant = ray_constant(self.cell("ray_accelerator_type"))
        capability = extra.get("computeCapability") or capability_of(row)
        images = [image] if self.vendor == "nvidia" and "architecture" not in extra else None
        spec = {
            "description": extra["description"],
            "vendor": self.vendor,
            "memory": f"{extra['memory']}Mi",
            "cores": extra.get("cores"),
            "memoryBandwidth": bandwidth or None,
            "computeCapability": capability,
            "features": extra["features"],
            "rayAcceleratorType": extra.get("rayAcceleratorType") or constant,
            "interconnect": self.link(),
            "provisionable": False,
            "resourceName": self.resource,
            "nodeShapes": [s for shape in extra["shapes"] for s in self.shapes(shape)],
            "images": images,
        }
        return {key: value for key, value in spec.items() if value is not None}

    def shapes(self, shape: Data) -> Iterator[Data]:
        """Yield the node shapes of one entry: one, or one per device count on premises."""
        if shape["provider"] == "onprem":
            yield from self.on_premises(shape["devices"])
            return
        provider = shape["provider"]
        machine = shape.get("name") or (shape["machines"] or shape["classes"])[0]
        spot = SPOT.get(provider)
        built = {
            "name": f"{provider}-{machine}".lower().replace("_", "-"),
            "provider": provider,
            "devices": shape["devices"],
            "nodeSelectorTerms": self.whole(provider, TERMS[provider](self, shape)),
            "spot": spot,
            "tolerations": self.tolerations(provider),
            "prices": self.prices(shape),
        }
        yield {key: value for key, value in built.items() if value}

    def on_premises(self, counts: list[int]) -> Iterator[Data]:
        """Yield shapes selected by the vendor's own node labeller."""
        for count in counts:
            yield self.labelled(f"onprem-{count}", count, self.products(), counted=True)
        if products := self.extra.get("pcieProducts"):
            # one device of a PCIe machine, whatever their number: no tensor parallelism over PCIe
            yield self.labelled("onprem-pcie", 1, products, counted=False)

    def labelled(self, name: str, devices: int, products: list[str], *, counted: bool) -> Data:
        """Return a shape selected by product labels, and by the device count where one is set."""
        terms = []
        if self.vendor == "nvidia":
            count = [requirement("nvidia.com/gpu.count", str(devices))] if counted else []
            terms = [term(requirement("nvidia.com/gpu.product", *products), *count)]
        elif self.vendor == "amd":
            ids = self.extra["deviceIds"]
            terms = [
                term(requirement(f"{prefix}amd.com/gpu.{label}", *values))
                for label, values in (("product-name", products), ("device-id", ids))
                for prefix in ("", "beta.")
            ]
        shape = {
            "name": name,
            "provider": "onprem",
            "devices": devices,
            "nodeSelectorTerms": self.whole("onprem", terms),
            "tolerations": self.tolerations("onprem"),
        }
        return {key: value for key, value in shape.items() if value}

    def whole(self, provider: str, terms: list[Data]) -> list[Data]:
        """Return the terms for nodes that offer whole devices, neither shared nor partitioned."""
        parted = list(PARTED.get(self.vendor, ()))
        if provider == "gcp" and self.vendor == "nvidia":
            parted += PARTED_BY_GKE
        return [term(*it["matchExpressions"], *parted) for it in terms]

    def tolerations(self, provider: str) -> list[Data]:
        """Return tolerations of the taints that nodes with this device carry there."""
        found: list[Data] = []
        if self.resource in TAINTED_RESOURCES:
            found.append({"key": self.resource, "operator": "Exists", "effect": "NoSchedule"})
        if provider == "azure":
            found.append(equal("sku", "gpu"))
        if arch := self.extra.get("architecture"):
            found.append(equal("kubernetes.io/arch", arch))
        return found

    def prices(self, shape: Data) -> list[Data]:
        """Return the price of one device-hour: the node's by its devices, or the table's."""
        default = self.defaults.get(shape["provider"], {})
        amounts = {p: Decimal(v) / shape["devices"] for p, v in shape.get("hourly", {}).items()}
        if shape.get("table"):
            cells = {p: self.cell(column) for p, column in default["columns"].items()}
            amounts = {p: a for p, c in cells.items() if (a := table_price(c, shape["provider"]))}
        dated = {key: shape.get(key) or default.get(key) for key in ("asOf", "region")}
        return [
            {"purchase": purchase, "amount": money(amount), "currency": "USD", **dated}
            for purchase, amount in amounts.items()
        ]


def equal(key: str, value: str) -> Data:
    """Return a toleration of one exact taint."""
    return {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}


def money(amount: Decimal) -> str:
    """Return an amount with two to six decimals."""
    whole, _, rest = f"{amount:.6f}".partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def table_price(cell: str, provider: str) -> Decimal | None:
    """Return the price that a cell opens with; of the small clouds, the one that it names."""
    pattern = r"([0-9.]+) Nebius" if provider == "nebius" else r"^([0-9.]+)"
    found = re.search(pattern, cell)
    return Decimal(found[1]) if found else None


def ray_constant(cell: str) -> str | None:
    """Return Ray's constant, without the remark that may follow it."""
    return None if not cell or "not a Ray constant" in cell else cell.split(" (")[0]


def capability_of(row: dict[str, str]) -> str:
    """Return the compute capability or architecture, empty for devices that have no such name."""
    cell = row.get("compute_capability", "") if row else ""
    return cell if re.fullmatch(r"[0-9.]+|gfx[0-9a-f]+", cell) else ""


def aws_terms(built: Class, shape: Data) -> list[Data]:
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


def azure_terms(built: Class, shape: Data) -> list[Data]:
    """AKS pools and node auto-provisioning: only the machine size tells the memory apart."""
    keys = ("node.kubernetes.io/instance-type", "karpenter.azure.com/sku-name")
    return [term(requirement(key, *shape["machines"])) for key in keys]


def gcp_terms(built: Class, shape: Data) -> list[Data]:
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


def oci_terms(built: Class, shape: Data) -> list[Data]:
    """OKE pools and Karpenter for OCI."""
    keys = ("node.kubernetes.io/instance-type", "oci.oraclecloud.com/instance-shape")
    return [term(requirement(key, *shape["machines"])) for key in keys]


def coreweave_terms(built: Class, shape: Data) -> list[Data]:
    """CoreWeave's class label, in its newer and its older spelling, and the machine."""
    terms = [term(requirement("gpu.nvidia.com/class", *shape["classes"]))]
    if shape["machines"]:
        terms.append(term(requirement("node.kubernetes.io/instance-type", *shape["machines"])))
    return terms


def nebius_terms(built: Class, shape: Data) -> list[Data]:
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


def documents() -> Iterator[Data]:
    """Yield the AcceleratorClass objects in the order of the extras."""
    extras = yaml.safe_load(EXTRAS.read_text(encoding="utf-8"))
    table = read_table()
    named = {extra["row"] for extra in extras["classes"] if "row" in extra}
    if unused := sorted(set(table) - named):
        sys.exit(f"{TABLE.name}: no class of {EXTRAS.name} names the row {', '.join(unused)}")
    for extra in extras["classes"]:
        row = table[extra["row"]] if "row" in extra else {}
        yield {
            "apiVersion": "freehold.dev/v1alpha1",
            "kind": "AcceleratorClass",
            "metadata": {"name": extra["name"]},
            "spec": Class(extra, row, extras["defaults"]).spec(extras["rayImage"]),
        }


def render() -> str:
    """Return the text of the catalogue's file."""
    body = yaml.dump_all(
        documents(),
        Dumper=Plain,
        sort_keys=False,
        explicit_start=True,
        default_flow_style=None,
        width=100,
    )
    return HEADER + body


def main() -> int:
    """Write the file, or with ``--check`` compare it; return the exit code."""
    parser = argparse.ArgumentParser(description="Write catalog/accelerators.yaml.")
    parser.add_argument("--check", action="store_true", help="compare only, exit 1 on difference")
    text = render()
    if not parser.parse_args().check:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    committed = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    lines = difflib.unified_diff(
        committed.splitlines(), text.splitlines(), "committed", "generated", lineterm="", n=1
    )
    difference = list(lines)
    print("\n".join(difference[:40]) or f"{TARGET.name} is up to date")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
