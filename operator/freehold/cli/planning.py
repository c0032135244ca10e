"""Planning every model of a command line, and telling what keeps it from being done."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.compose import LocatedFault, Planned, plan_model
from freehold.errors import NoPlanFits
from freehold.manifest_files import FaultsFoundError, Files
from freehold.plan.plan import NoPlan
from freehold.plan.planner import Option


def plan_all(
    files: Files, offline: bool, only: tuple[Option, ...] = ()
) -> list[tuple[str, Planned]]:
    """Return each model's file and its plan or the planner's refusal, in the order given.

    Args:
        files: The manifests.
        offline: Whether the hub must not be asked.
        only: Options to consider instead of the manifest's own.

    Raises:
        FaultsFoundError: Some cannot be planned at all; what each of them lacks is told at once.
    """
    planned: list[tuple[str, Planned]] = []
    faults: list[LocatedFault] = []
    choose = (lambda _: only) if only else None
    for file, model in files.manifests.models:
        answer = plan_model(model, files.manifests.catalog, offline=offline, choose=choose)
        if isinstance(answer, tuple):
            faults += files.locate(file, model.name, answer)
        else:
            planned.append((file, answer))
    if faults:
        raise FaultsFoundError(faults)
    return planned


def require_planned(planned: Iterable[Planned]) -> None:
    """Raise ``NoPlanFits`` with the reasons when no candidate carries one of the models."""
    refused = [(item.model.name, item.answer) for item in planned]
    sentences = [
        f"no candidate carries {name}:\n{answer}"
        for name, answer in refused
        if isinstance(answer, NoPlan)
    ]
    if sentences:
        raise NoPlanFits("\n".join(sentences))
