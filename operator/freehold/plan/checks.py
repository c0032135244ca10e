"""What is wrong with a manifest although its fields are right: names, and arguments that clash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.faults import Cause, Fault, unknown_name
from freehold.api.modeldeployment import ModelDeployment, Workload
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.constraints import parallelism_fault
from freehold.plan.demand import MOST_SEQUENCES
from freehold.plan.engine_settings import (
    DECIDED_ON_CORES,
    EngineSettings,
    batch_faults,
    contradiction,
    read_engine_settings,
)

Classes = Mapping[str, AcceleratorClass]


def faults_of_model(model: ModelDeployment, classes: Classes) -> Iterator[Fault]:
    """Yield what the catalogue and the planner's own list of arguments say against a model."""
    spec = model.spec
    able: list[Accelerator] = []
    for i, candidate in enumerate(spec.hardware.candidates if spec.hardware else ()):
        path = f"spec.hardware.candidates[{i}]"
        found = resolve_class(candidate.accelerator, classes, f"{path}.accelerator")
        if isinstance(found, Fault):
            yield found
            continue
        able.append(found)
        if candidate.parallelism is not None:
            fault = parallelism_fault(found, candidate.parallelism, f"{path}.parallelism")
            if fault is not None:
                yield fault
    for i, image in enumerate((spec.engine.images if spec.engine else None) or ()):
        if image.accelerator not in classes:
            path = f"spec.engine.images[{i}].accelerator"
            fault = unknown_name(path, image.accelerator, classes, "accelerator class")
            yield replace(fault, cause=Cause.ACCELERATOR)
    settings, faults = read_engine_settings(model.engine_args)
    yield from faults or (*_planned_batch(settings, spec.workload), *faults_on_cores(model, able))


def faults_on_cores(model: ModelDeployment, able: Iterable[Accelerator]) -> Iterator[Fault]:
    """Yield the arguments that workers on bare cores, where there are any, would not be given."""
    where = next((item.name for item in able if item.vendor == "cpu"), None)
    if where is None:
        return
    args = model.engine_args
    for name, decided in DECIDED_ON_CORES.items():
        if args.get(name, decided) != decided:
            yield contradiction(name, args[name], decided, f"workers of the class {where}")


def faults_of_class(name: str, classes: Classes) -> Iterator[Fault]:
    """Yield what keeps a class from being complete: an unknown parent, a circle, nothing said."""
    found = resolve_class(name, classes, f"AcceleratorClass {name}: spec.extends")
    if isinstance(found, Fault):
        yield found


def _planned_batch(settings: EngineSettings, workload: Workload | None) -> tuple[Fault, ...]:
    """Return the fault of a step smaller than the sequences that the planner may let run."""
    if settings.max_num_seqs is not None:
        return ()  # already compared
    if workload is not None:
        asked_by = "spec.workload.concurrentRequests"
        return batch_faults(settings, workload.concurrent_requests, asked_by)
    asked_by = "the most that a plan runs at once unless max_num_seqs or spec.workload says fewer"
    return batch_faults(settings, MOST_SEQUENCES, asked_by)
