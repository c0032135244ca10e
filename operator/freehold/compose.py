"""From manifest to Serve application: the path that every way in shares.

parse -> describe -> resolve -> plan -> render. The operator, ``freehold run``, ``freehold plan``
and ``freehold render`` all come through here, so that what was planned on a laptop is what runs
on a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.faults import Fault
from freehold.api.manifest import parse_manifest
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.yaml_text import Document
from freehold.catalog.builtin import Catalog, builtin_catalog
from freehold.errors import NoPlanFits, RenderingRefused
from freehold.plan.checks import faults_on_cores
from freehold.plan.engine_settings import owned_faults
from freehold.plan.plan import NoPlan, Plan
from freehold.plan.planner import Judge, Option, Question, make_plan
from freehold.plan.resolve import resolve
from freehold.render.schema import check_engine_args, check_serve_config
from freehold.sources.describe import Described, describe


@dataclass(frozen=True, slots=True)
class LocatedFault:
    """A fault with the file it stands in."""

    file: str
    fault: Fault

    @property
    def place(self) -> str:
        """Return file and line the way compilers do."""
        return f"{self.file}:{self.fault.line}" if self.fault.line else self.file

    def __str__(self) -> str:
        """Return place and sentence."""
        return f"{self.place}: {self.fault}"


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the given files hold together.

    Attributes:
        models: ModelDeployments, each with the file it stands in, in the order given.
        catalog: The built-in catalogue with the files' own accelerator classes.
        faults: All that is wrong; when there are any, nothing may be applied.
        documents: What stands in each file, by its name, as it was read.
    """

    models: tuple[tuple[str, ModelDeployment], ...]
    catalog: Catalog
    faults: tuple[LocatedFault, ...]
    documents: Mapping[str, tuple[Document, ...]]


@dataclass(frozen=True, slots=True)
class Planned:
    """A model with the answer of the planner."""

    model: ModelDeployment
    described: Described
    question: Question
    answer: Plan | NoPlan


def read_manifests(texts: Iterable[tuple[str, str]]) -> Manifests:
    """Read files given as (name, text); every fault of their fields is reported."""
    models: list[tuple[str, ModelDeployment]] = []
    classes: list[AcceleratorClass] = []
    faults: list[LocatedFault] = []
    documents: dict[str, tuple[Document, ...]] = {}
    for file, text in texts:
        manifest = parse_manifest(text)
        documents[file] = manifest.documents
        models += [(file, model) for model in manifest.models]
        classes += manifest.classes
        faults += [LocatedFault(file, fault) for fault in manifest.faults]
    catalog = builtin_catalog().with_classes(classes)
    return Manifests(tuple(models), catalog, tuple(faults), documents)


def check_arguments(model: ModelDeployment) -> tuple[Fault, ...]:
    """Return the faults of the engine arguments: the plan's own, then by the engine's list."""
    owned = tuple(owned_faults(model.engine_args))
    told = {fault.path for fault in owned}
    known = (
        replace(fault, path=f"spec.engine.args.{fault.path}")
        for fault in check_engine_args(model.engine_args)
    )
    return (*owned, *(fault for fault in known if fault.path not in told))


def require_accepted(config: dict[str, Any]) -> None:
    """Check a Serve config as Ray and the engine would.

    Raises:
        RenderingRefused: They would refuse it. The user's own arguments were checked before.
    """
    faults = check_serve_config(config)
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        names = ", ".join(application["name"] for application in config["applications"])
        raise RenderingRefused(
            f"the Serve config of {names} is refused; this is a bug in Freehold, "
            f"please report it with the manifest:\n{listed}"
        )


def plan_model(
    model: ModelDeployment,
    catalog: Catalog,
    *,
    offline: bool = False,
    choose: Callable[[Question], tuple[Option, ...]] | None = None,
    judge: Judge | None = None,
    prefer: str | None = None,
    described: Described | None = None,
) -> Planned | tuple[Fault, ...]:
    """Describe, resolve and plan one model.

    Args:
        model: The model.
        catalog: Known models and classes.
        offline: Whether the hub must not be asked.
        choose: Takes the question and returns the options to consider instead of its own.
        judge: Judges one candidate, such as by the nodes that exist; else by memory alone.
        prefer: Name of the candidate to stay with as long as it carries the model.
        described: What the source was found to hold; None to look now.

    Returns:
        The plan or the planner's refusal, or the faults that keep it from being planned at all;
        those of the model's source, and they alone, are at one of ``SOURCE_FIELDS``.
    """
    found = described or describe(model.spec.model, catalog, offline=offline)
    if isinstance(found, tuple):
        return found
    question = resolve(model, found.description, catalog.classes)
    if isinstance(question, tuple):
        return question
    if choose is not None:
        question = replace(question, options=choose(question), in_order=True)
        faults = tuple(faults_on_cores(model, (it.accelerator for it in question.options)))
        if faults:
            return faults
    answer = make_plan(question, judge=judge, prefer=prefer)
    return Planned(model, found, question, answer)


def refusals(planned: Iterable[Planned]) -> list[str]:
    """Return a sentence for each model that no candidate carries, with the reasons below it."""
    return [
        f"no candidate carries {item.model.name}:\n{item.answer}"
        for item in planned
        if isinstance(item.answer, NoPlan)
    ]


def require_planned(planned: Iterable[Planned]) -> None:
    """Raise ``NoPlanFits`` with the reasons when no candidate carries one of the models."""
    sentences = refusals(planned)
    if sentences:
        raise NoPlanFits("\n".join(sentences))
