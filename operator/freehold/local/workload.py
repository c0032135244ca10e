"""The models that a set of manifest files asks this machine, or a given Ray, to serve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.catalog.builtin import Catalog
from freehold.compose import Manifests, Planned, plan_model, require_accepted
from freehold.errors import ManifestInvalid, NoPlanFits, WeightsUnavailable
from freehold.manifest_files import read_valid
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.plan import NoPlan, Plan
from freehold.plan.planner import Option, Question
from freehold.render.request_path import RequestPath
from freehold.render.scaling import Pace, replica_bounds
from freehold.render.serve_config import serve_application, serve_config, server_deployment_name
from freehold.render.weights_location import weights_location


@dataclass(frozen=True, slots=True)
class Served:
    """A model with all that serving it takes.

    Attributes:
        model: The model.
        plan: Its plan.
        application: Its Serve application; None for a model without replicas.
    """

    model: ModelDeployment
    plan: Plan
    application: dict[str, Any] | None

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
            passed over. Empty: any.
        accelerators: Classes to plan for instead of the manifests' candidates.
        offline: Whether the hub must not be asked.
        path: The way of a request to the engine.
        code: URI of our code for engines that do not find it installed.
        pace: How fast replicas follow the load.
    """

    vendors: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    offline: bool = False
    path: RequestPath = "direct"
    code: str | None = None
    pace: Pace = field(default_factory=Pace)


def load(paths: Iterable[Path], choices: Choices) -> tuple[Served, ...]:
    """Read, plan and render everything in the files.

    Raises:
        ManifestInvalid: With every fault of every file.
        NoPlanFits: With every candidate and why it was passed over.
        WeightsUnavailable: When a model's source is there to be read and cannot be.
    """
    manifests = read_valid(str(path) for path in paths).manifests
    planned = [_plan(file, model, manifests, choices) for file, model in manifests.models]
    # on a Ray that others use too the root is theirs to take
    several = len(planned) > 1 or choices.path == "stock"
    served = tuple(_served(item, several, choices) for item in planned)
    applications = [item.application for item in served if item.application is not None]
    require_accepted(serve_config(applications))
    return served


def _plan(file: str, model: ModelDeployment, manifests: Manifests, choices: Choices) -> Planned:
    catalog = manifests.catalog

    def choose(question: Question) -> tuple[Option, ...]:
        return _at_hand(model, question, catalog, choices)

    planned = plan_model(model, catalog, offline=choices.offline, choose=choose)
    if isinstance(planned, tuple):
        sentences = "\n".join(f"{file}: {fault}" for fault in planned)
        from_source = all(fault.path.startswith("spec.model.") for fault in planned)
        raise (WeightsUnavailable if from_source else ManifestInvalid)(sentences)
    if isinstance(planned.answer, NoPlan):
        raise NoPlanFits(f"no candidate carries {model.name}:\n{planned.answer}")
    return planned


def require_access(models: Iterable[Served], offline: bool) -> None:
    """Raise ``WeightsUnavailable`` where the hub would not give an engine here its weights."""
    hubs = [item for item in models if item.model.spec.model.source.startswith("hf://")]
    if not hubs:
        return
    # imported late, as its library takes longer to load than all the rest
    from freehold.sources.hub import check_access

    sentences = []
    for item in hubs:
        source = item.model.spec.model
        faults = check_access(weights_location(source.source), source.revision, offline=offline)
        sentences += [f"{item.name}: {fault}" for fault in faults]
    if sentences:
        raise WeightsUnavailable("\n".join(sentences))


def _at_hand(
    model: ModelDeployment, question: Question, catalog: Catalog, choices: Choices
) -> tuple[Option, ...]:
    """Return the options that the devices at hand can carry out."""
    if choices.accelerators:
        return _named(choices.accelerators, catalog)
    if not choices.vendors:
        return question.options
    if model.spec.hardware is None and choices.vendors == ("cpu",):
        return _named(("cpu",), catalog)
    found = tuple(o for o in question.options if o.accelerator.vendor in choices.vendors)
    if not found:
        wanted = ", ".join(sorted({o.accelerator.name for o in question.options}))
        raise NoPlanFits(
            f"{model.name} asks for {wanted}, and this machine offers "
            f"{' and '.join(choices.vendors)} only; run with --accelerator cpu, or add a candidate "
            f"{{name: cores, accelerator: cpu}} to spec.hardware.candidates"
        )
    return found


def _named(names: tuple[str, ...], catalog: Catalog) -> tuple[Option, ...]:
    found = [resolve_class(name, catalog.classes, "--accelerator") for name in names]
    faults = [item for item in found if isinstance(item, Fault)]
    if faults:
        raise ManifestInvalid("\n".join(str(fault) for fault in faults))
    return tuple(Option(item.name, item) for item in found if isinstance(item, Accelerator))


def _served(planned: Planned, several: bool, choices: Choices) -> Served:
    assert isinstance(planned.answer, Plan)
    model = planned.model
    application = serve_application(
        model,
        planned.answer,
        route_prefix=f"/{model.name}" if several else "/",
        path=choices.path,
        code=choices.code,
        pace=choices.pace,
    )
    return Served(model, planned.answer, application)
