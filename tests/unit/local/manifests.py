"""Manifests in files, and the models that they serve."""

from __future__ import annotations

from pathlib import Path

from freehold.local.workload import Choices, Served, load

CPU = "{name: cores, accelerator: cpu, parallelism: {tensor: 1}}"


def manifest(
    name: str = "chat",
    *,
    source: str = "hf://meta-llama/Llama-3.2-1B",
    context: int = 2048,
    candidates: str = CPU,
    more: str = "",
) -> str:
    """Return a small model's manifest; ``more`` are further lines of its spec."""
    hardware = f"\n  hardware:\n    candidates: [{candidates}]" if candidates else ""
    return f"""apiVersion: freehold.dev/v1alpha1
kind: ModelDeployment
metadata:
  name: {name}
spec:
  model:
    source: {source}
    contextLength: {context}{hardware}
{more}"""


def written(folder: Path, *texts: str) -> list[Path]:
    """Return files that hold the texts, in their order."""
    files = [folder / f"{index}.yaml" for index in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return files


def served(folder: Path, *texts: str) -> tuple[Served, ...]:
    """Return the models of the texts, planned for a machine without GPUs."""
    return load(written(folder, *texts), Choices(vendors=("cpu",), offline=True))
