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
from accelerator_labels import (
    PARTED,
    PARTED_BY_GKE,
    SPOT,
    TERMS,
    Inline,
    equal,
    requirement,
    split,
    term,
)

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
