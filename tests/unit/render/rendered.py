"""Manifests taken through parsing, planning and rendering, without files of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.api.manifest import parse_manifest
from freehold.api.modeldeployment import ModelDeployment
from freehold.catalog.builtin import builtin_catalog
from freehold.compose import plan_model
from freehold.plan.plan import Plan
from freehold.render.objects import model_objects
from freehold.render.request_path import RequestPath
from freehold.render.scaling import surge_percent
from freehold.render.serve_config import serve_application, serve_config

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
NAMESPACE = "models"
# Stands for the code that runs inside Ray, which has tests of its own.
ARCHIVE = b"an archive"
# What describing the folder of the example's demo model answers; tests have no such folder.
DEMO_MODEL = ModelDescription.model_validate(
    {
        "modelClass": "Gemma3ForCausalLM",
        "layers": 18,
        "hiddenSize": 640,
        "attentionHeads": 4,
        "keyValueHeads": 1,
        "headDim": 256,
        "intermediateSize": 2048,
        "vocabularySize": 262144,
        "tiedEmbeddings": True,
        "maxContextLength": 32768,
        "localAttention": {"window": 512, "layers": 15},
        "checkpoint": {"size": "536223056", "precision": "bf16"},
    },
    strict=False,
)

Planned = tuple[ModelDeployment, Plan]


def case_files() -> dict[str, Path]:
    """Return the manifests with golden files: the examples, and those of tests/golden."""
    examples = {path.stem: path for path in sorted((ROOT / "examples").glob("*.yaml"))}
    own = {path.parent.name: path for path in sorted(GOLDEN.glob("*/manifest.yaml"))}
    return examples | own


def planned_text(text: str) -> Planned:
    """Parse and plan the only model of a manifest."""
    manifest = parse_manifest(text)
    assert manifest.faults == (), [str(fault) for fault in manifest.faults]
    (model,) = manifest.models
    catalog = builtin_catalog().with_classes(manifest.classes)
    if model.spec.model.source.startswith("file://"):
        source = model.spec.model.model_copy(update={"architecture": DEMO_MODEL})
        spec = model.spec.model_copy(update={"model": source})
        model = model.model_copy(update={"spec": spec})
    planned = plan_model(model, catalog, offline=True)
    assert not isinstance(planned, tuple), [str(fault) for fault in planned]
    assert isinstance(planned.answer, Plan), planned.answer
    return model, planned.answer


def planned_file(path: Path) -> Planned:
    return planned_text(path.read_text("utf-8"))


def planned(**spec: Any) -> Planned:
    """Plan a Llama 3.1 8B on an L4; ``spec`` replaces fields, in the names of YAML."""
    given = {
        "model": {"source": "hf://meta-llama/Llama-3.1-8B-Instruct", "contextLength": 8192},
        "workload": {"concurrentRequests": 8, "promptTokens": 500, "outputTokens": 500},
        "hardware": on("l4-24gb"),
    }
    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "llama"},
        "spec": {**given, **spec},
    }
    return planned_text(yaml.safe_dump(data, sort_keys=False))


def on(accelerator: str, **candidate: Any) -> dict[str, Any]:
    """Return ``spec.hardware`` with one candidate."""
    return {"candidates": [{"name": "only", "accelerator": accelerator, **candidate}]}


def two_nodes() -> Planned:
    """Return a model whose replica spans two nodes of eight H100."""
    return planned(
        model={"source": "hf://meta-llama/Llama-3.1-405B-Instruct", "contextLength": 8192},
        hardware=on("h100-80gb", parallelism={"tensor": 8, "pipeline": 2}),
        replicas=3,
    )


def config_of(item: Planned, path: RequestPath = "direct") -> dict[str, Any]:
    """Return the Serve config of one model on a cluster."""
    model, plan = item
    application = serve_application(model, plan, path=path, surge_percent=surge_percent(model.spec))
    return serve_config([application] if application else [])


def server_of(item: Planned, path: RequestPath = "direct") -> dict[str, Any]:
    """Return the deployment of the engine."""
    (application,) = config_of(item, path)["applications"]
    return dict(application["deployments"][0])


def llm_of(item: Planned) -> dict[str, Any]:
    """Return the model's ``LLMConfig``."""
    (application,) = config_of(item)["applications"]
    (llm,) = application["args"]["llm_configs"]
    return dict(llm)


def objects_for(item: Planned) -> list[dict[str, Any]]:
    """Return the objects of one model."""
    objects = model_objects(*item, NAMESPACE, ARCHIVE)
    assert not isinstance(objects, Fault), str(objects)
    return objects


def service_of(item: Planned) -> dict[str, Any]:
    """Return the RayService of one model."""
    (service,) = (it for it in objects_for(item) if it["kind"] == "RayService")
    return service


def group_of(item: Planned) -> dict[str, Any]:
    (group,) = service_of(item)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return dict(group)


def worker_of(item: Planned) -> dict[str, Any]:
    """Return the spec of the worker pods."""
    return dict(group_of(item)["template"]["spec"])


def container_of(item: Planned) -> dict[str, Any]:
    """Return Ray's container of the worker pods."""
    return dict(worker_of(item)["containers"][0])


def mappings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every mapping inside a value, with its path."""
    if isinstance(value, Mapping):
        yield path, value
        for key, inner in value.items():
            yield from mappings(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from mappings(inner, (*path, index))
