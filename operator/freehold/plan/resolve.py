"""A manifest and the catalogue to the question that the planner answers."""

from __future__ import annotations

from collections.abc import Mapping

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.api.modeldeployment import Candidate, ModelDeployment
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.checks import faults_of_model
from freehold.plan.engine_settings import read_engine_settings
from freehold.plan.planner import Option, Question


def resolve(
    model: ModelDeployment,
    description: ModelDescription,
    classes: Mapping[str, AcceleratorClass],
) -> Question | tuple[Fault, ...]:
    """Return the question with all defaults filled in, or all that keeps it from being asked."""
    spec = model.spec
    options = _options(model, classes)
    faults = tuple(faults_of_model(model, classes))
    if faults:
        return faults
    settings, _ = read_engine_settings(model.engine_args)
    return Question(
        model=description,
        settings=settings,
        context=spec.model.context_length,
        workload=spec.workload,
        options=options,
        in_order=spec.hardware is not None,
    )


def _options(model: ModelDeployment, classes: Mapping[str, AcceleratorClass]) -> tuple[Option, ...]:
    """Return what may be considered; faults of the candidates themselves are told elsewhere."""
    if model.spec.hardware is None:
        return _every_class(classes)
    options = []
    for i, candidate in enumerate(model.spec.hardware.candidates):
        path = f"spec.hardware.candidates[{i}].accelerator"
        found = resolve_class(candidate.accelerator, classes, path)
        if isinstance(found, Accelerator):
            options.append(_option(candidate, found))
    return tuple(options)


def _option(candidate: Candidate, accelerator: Accelerator) -> Option:
    return Option(candidate.name, accelerator, candidate.purchase, candidate.parallelism)


def _every_class(classes: Mapping[str, AcceleratorClass]) -> tuple[Option, ...]:
    """Return an option for every accelerator; workers on bare cores must be asked for by name.

    A class that is not whole is nobody's hardware; the fault is told where the class is read.
    """
    found = (resolve_class(name, classes, f"AcceleratorClass {name}") for name in sorted(classes))
    able = [item for item in found if isinstance(item, Accelerator) and item.vendor != "cpu"]
    return tuple(Option(item.name, item) for item in able)
