"""The models that a set of manifest files asks this machine, or a given Ray, to serve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.catalog.builtin import Catalog
from freehold.compose import LocatedFault, Planned, refusals, require_accepted
from freehold.errors import ManifestInvalid, NoPlanFits
from freehold.local.machine import Gpu, classes_of_gpu
from freehold.manifest_files import (
    Files,
    SourceFaultsError,
    plan_all,
    read_valid,
    require_names_apart,
)
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.plan import Plan
from freehold.plan.planner import Option, Question
from freehold.render.request_path import RequestPath
from freehold.render.scaling import replica_bounds
from freehold.render.serve_config import serve_application, serve_config, server_deployment_name
from freehold.render.weights_location import weights_location


@dataclass(frozen=True, slots=True)
class Served:
    """A model with all that serving it takes.

    Attributes:
        model: The model.
        plan: Its plan.
        application: Its Serve application; None for a model without replicas.
        file: The file that it stands in.
        files: All that was read with it.
    """

    model: ModelDeployment
    plan: Plan
    application: dict[str, Any] | None
    file: str = field(compare=False)
    files: Files = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """Return the object's name, which the application bears too."""
        return self.model.name

    @property
    def deployment(self) -> str:
        """Return the Serve deployment that runs the engine."""
        return server_deployment_name(self.model.served_name)

    @property
    def least_replicas(self) -> int:
        """Return the replicas that are always there."""
        return replica_bounds(self.model.spec)[0]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller decides beside the manifests.

    Attributes:
        vendors: Vendors of the devices at hand, the preferred first; candidates of others are
            passed over. Empty: not known, so the manifest must say which class it is for.
        gpu: The GPU at hand, where the manifest says no hardware; None if there is none.
        accelerators: Classes to plan for instead of the manifests' candidates.
        offline: Whether the hub must not be asked.
        path: The way of a request to the engine.
        code: URI of our code for engines that do not find it installed.
    """

    vendors: tuple[str, ...] = ()
    gpu: Gpu | None = None
    accelerators: tuple[str, ...] = ()
    offline: bool = False
    path: RequestPath = "direct"
    code: str | None = None


def load(paths: Iterable[Path], choices: Choices) -> tuple[Served, ...]:
    """Read, plan and render everything in the files.

    Raises:
        ManifestInvalid: With every fault of every file.
        NoPlanFits: With every candidate and why it was passed over.
        WeightsUnavailable: When a model's source is there to be read and cannot be.
    """
    files = read_valid(str(path) for path in paths)
    require_names_apart(files)
    planned = _planned(files, choices)
    # on a Ray that others use too the root is theirs to take
    several = len(planned) > 1 or choices.path == "stock"
    served = tuple(_served(files, file, item, several, choices) for file, item in planned)
    applications = [item.application for item in served if item.application is not None]
    require_accepted(serve_config(applications))
    return served


def _planned(files: Files, choices: Choices) -> list[tuple[str, Planned]]:
    """Return the plans of all models; what keeps any from having one is told at once."""
    named = _named(choices.accelerators, files.manifests.catalog)
    sentences: list[str] = []

    def choose(model: ModelDeployment, question: Question) -> tuple[Option, ...]:
        if named:
            return named
        if model.spec.hardware is None and choices.vendors == ("cpu",):
            return _named(("cpu",), files.manifests.catalog)
        if model.spec.hardware is None and not choices.vendors:
            sentences.append(_unsaid(model))
            return ()
        found = _at_hand(question, choices.vendors)
        if model.spec.hardware is None and choices.gpu is not None:
            found = classes_of_gpu(choices.gpu, found)
        if not found:
            sentences.append(_not_here(model, question, choices.vendors))
        return found

    planned = plan_all(files, choices.offline, choose)
    # who was left without options has its sentence already
    sentences += refusals(item for _, item in planned if item.question.options)
    if sentences:
        raise NoPlanFits("\n".join(sentences))
    return planned


def require_access(models: Iterable[Served], offline: bool) -> None:
    """Raise ``WeightsUnavailable`` where the hub would not give an engine here its weights."""
    hubs = [item for item in models if item.model.spec.model.source.startswith("hf://")]
    if not hubs:
        return
    # imported late, as its library takes longer to load than all the rest
    from freehold.sources.hub import check_access

    faults: list[LocatedFault] = []
    for item in hubs:
        source = item.model.spec.model
        found = check_access(weights_location(source.source), source.revision, offline=offline)
        faults += item.files.locate(item.file, item.model, found)
    if faults:
        raise SourceFaultsError(faults)


def _at_hand(question: Question, vendors: tuple[str, ...]) -> tuple[Option, ...]:
    """Return the options that the devices at hand can carry out."""
    if not vendors:
        return question.options
    return tuple(o for o in question.options if o.accelerator.vendor in vendors)


def _not_here(model: ModelDeployment, question: Question, vendors: tuple[str, ...]) -> str:
    wanted = ", ".join(sorted({o.accelerator.name for o in question.options}))
    return (
        f"{model.name} asks for {wanted}, and this machine offers "
        f"{' and '.join(vendors)} only; run with --accelerator cpu, or add a candidate "
        f"{{name: cores, accelerator: cpu}} to spec.hardware.candidates"
    )


def _unsaid(model: ModelDeployment) -> str:
    return (
        f"{model.name} does not say what hardware it runs on, and Ray does not tell the memory of "
        f"its devices; add spec.hardware.candidates, or --accelerator with a class that it has"
    )


def _named(names: tuple[str, ...], catalog: Catalog) -> tuple[Option, ...]:
    found = [resolve_class(name, catalog.classes, "--accelerator") for name in names]
    faults = [item for item in found if isinstance(item, Fault)]
    if faults:
        raise ManifestInvalid("\n".join(str(fault) for fault in faults))
    return tuple(Option(item.name, item) for item in found if isinstance(item, Accelerator))


def _served(files: Files, file: str, planned: Planned, several: bool, choices: Choices) -> Served:
    assert isinstance(planned.answer, Plan)
    model = planned.model
    application = serve_application(
        model,
        planned.answer,
        route_prefix=f"/{model.name}" if several else "/",
        path=choices.path,
        code=choices.code,
    )
    return Served(model, planned.answer, application, file, files)
