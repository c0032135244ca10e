"""A manifest and the catalogue to the question that the planner answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.api.modeldeployment import Candidate, ModelDeployment, Workload
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.demand import MOST_SEQUENCES
from freehold.plan.engine_settings import (
    DECIDED_ON_CORES,
    EngineSettings,
    batch_faults,
    contradiction,
    read_engine_settings,
)
from freehold.plan.planner import Option, Question


def resolve(
    model: ModelDeployment,
    description: ModelDescription,
    classes: Mapping[str, AcceleratorClass],
) -> Question | tuple[Fault, ...]:
    """Return the question with all defaults filled in, or all that keeps it from being asked."""
    spec = model.spec
    args = (spec.engine.args if spec.engine else None) or {}
    settings, faults = read_engine_settings(args)
    options, class_faults = _options(model, classes)
    if not faults:
        faults = (*_planned_batch(settings, spec.workload), *_against_cores(args, options))
    if faults or class_faults:
        return (*faults, *class_faults)
    return Question(
        model=description,
        settings=settings,
        context=spec.model.context_length,
        workload=spec.workload,
        options=options,
        in_order=spec.hardware is not None,
    )


def _planned_batch(settings: EngineSettings, workload: Workload | None) -> tuple[Fault, ...]:
    """Return the fault of a step smaller than the sequences that the planner may let run."""
    if settings.max_num_seqs is not None:
        return ()  # already compared
    if workload is not None:
        asked_by = "spec.workload.concurrentRequests"
        return batch_faults(settings, workload.concurrent_requests, asked_by)
    asked_by = "the most that a plan runs at once unless max_num_seqs or spec.workload says fewer"
    return batch_faults(settings, MOST_SEQUENCES, asked_by)


def _against_cores(args: Mapping[str, Any], options: Iterable[Option]) -> Iterator[Fault]:
    """Yield the arguments that workers on bare cores would not be given."""
    where = next((it.accelerator.name for it in options if it.accelerator.vendor == "cpu"), None)
    if where is None:
        return
    for name, decided in DECIDED_ON_CORES.items():
        if args.get(name, decided) != decided:
            yield contradiction(name, args[name], decided, f"workers of the class {where}")


def _options(
    model: ModelDeployment, classes: Mapping[str, AcceleratorClass]
) -> tuple[tuple[Option, ...], tuple[Fault, ...]]:
    if model.spec.hardware is None:
        return _every_class(classes)
    options: list[Option] = []
    faults: list[Fault] = []
    for i, candidate in enumerate(model.spec.hardware.candidates):
        path = f"spec.hardware.candidates[{i}].accelerator"
        found = resolve_class(candidate.accelerator, classes, path)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            options.append(_option(candidate, found))
    return tuple(options), tuple(faults)


def _option(candidate: Candidate, accelerator: Accelerator) -> Option:
    return Option(candidate.name, accelerator, candidate.purchase, candidate.parallelism)


def _every_class(
    classes: Mapping[str, AcceleratorClass],
) -> tuple[tuple[Option, ...], tuple[Fault, ...]]:
    """Return an option for every accelerator; workers on bare cores must be asked for by name."""
    found = [resolve_class(name, classes, f"AcceleratorClass {name}") for name in sorted(classes)]
    faults = tuple(item for item in found if isinstance(item, Fault))
    able = [item for item in found if isinstance(item, Accelerator) and item.vendor != "cpu"]
    return tuple(Option(item.name, item) for item in able), faults
