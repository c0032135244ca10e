"""What is wrong with a manifest although its fields are right: names, and arguments that clash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.faults import Fault, unknown_name
from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.accelerator import resolve_class
from freehold.plan.constraints import parallelism_fault
from freehold.plan.engine_settings import read_engine_settings

Classes = Mapping[str, AcceleratorClass]


def faults_of_model(model: ModelDeployment, classes: Classes) -> Iterator[Fault]:
    """Yield what the catalogue and the planner's own list of arguments say against a model."""
    spec = model.spec
    for i, candidate in enumerate(spec.hardware.candidates if spec.hardware else ()):
        path = f"spec.hardware.candidates[{i}]"
        found = resolve_class(candidate.accelerator, classes, f"{path}.accelerator")
        if isinstance(found, Fault):
            yield found
        elif candidate.parallelism is not None:
            fault = parallelism_fault(found, candidate.parallelism, f"{path}.parallelism")
            if fault is not None:
                yield fault
    for i, image in enumerate((spec.engine.images if spec.engine else None) or ()):
        if image.accelerator not in classes:
            path = f"spec.engine.images[{i}].accelerator"
            yield unknown_name(path, image.accelerator, classes, "accelerator class")
    yield from read_engine_settings((spec.engine.args if spec.engine else None) or {})[1]


def faults_of_class(name: str, classes: Classes) -> Iterator[Fault]:
    """Yield what keeps a class from being complete: an unknown parent, a circle, nothing said."""
    found = resolve_class(name, classes, f"AcceleratorClass {name}: spec.extends")
    if isinstance(found, Fault):
        yield found
