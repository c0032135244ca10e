"""``freehold render``: what a manifest becomes, as text that can be read, kept and compared."""

from __future__ import annotations

from typing import Any

import click

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.cli.output import manifest_arguments, offline_option
from freehold.compose import LocatedFault, Planned, plan_model
from freehold.errors import FreeholdError, NoPlanFits
from freehold.manifest_files import FaultsFoundError, Files, read_valid
from freehold.plan.plan import NoPlan, Plan
from freehold.render.objects import (
    model_application,
    model_objects,
    model_serve_config,
    object_yaml,
)
from freehold.render.schema import check_serve_config
from freehold.render.serve_config import serve_config, to_yaml

# kubectl's, for an object that does not say
_NAMESPACE = "default"


@click.command(
    epilog="""
    Examples:

    \b
    freehold render examples/llama-3.1-8b.yaml
        prints the RayService of the model, its Serve config checked against Ray and vLLM

    \b
    freehold render --serve-config examples/gemma-3-270m.yaml
        prints the Serve config alone, as `freehold run` hands it to Ray

    \b
    freehold render --offline models/*.yaml > all.yaml && diff all.yaml last.yaml
        the same manifests give the same bytes, so a difference is a change

    Exit codes: 0 rendered, 2 the manifest is wrong, 3 no hardware fits.
    """
)
@manifest_arguments()
@click.option(
    "--serve-config",
    "config_only",
    is_flag=True,
    help="Print only the Serve config, one for all models.",
)
@offline_option()
def render(files: tuple[str, ...], config_only: bool, offline: bool) -> None:
    """Print the objects that a manifest becomes: a RayService for each model.

    No cluster is asked.
    """
    given = read_valid(files)
    planned = [
        (file, plan_or_refuse(given, file, model, offline))
        for file, model in given.manifests.models
    ]
    if config_only:
        text = to_yaml(_config_of_all([item for _, item in planned]))
    else:
        text = "---\n".join(object_yaml(item) for item in _objects(given, planned))
    click.echo(text, nl=False)


def plan_or_refuse(files: Files, file: str, model: ModelDeployment, offline: bool) -> Planned:
    """Return the plan of one of the models.

    Raises:
        FaultsFoundError: The model cannot be planned.
        NoPlanFits: No candidate carries it.
    """
    planned = plan_model(model, files.manifests.catalog, offline=offline)
    if isinstance(planned, tuple):
        raise FaultsFoundError(files.locate(file, model.name, planned))
    if isinstance(planned.answer, NoPlan):
        raise NoPlanFits(f"{file}: no candidate carries {model.name}\n{planned.answer}")
    return planned


def render_objects(planned: Planned) -> list[dict[str, Any]] | Fault:
    """Return the objects of one model, in the order in which they are applied.

    Returns:
        The objects, or what the model lacks to be served on a cluster.

    Raises:
        FreeholdError: What was rendered is refused by Ray's or vLLM's schema; a bug of ours.
    """
    model, plan = planned.model, _plan(planned)
    _check(model_serve_config(model, plan), model.name)
    return model_objects(model, plan, model.metadata.namespace or _NAMESPACE)


def _objects(files: Files, planned: list[tuple[str, Planned]]) -> list[dict[str, Any]]:
    """Return the objects of all models; what each of them lacks is told at once."""
    objects: list[dict[str, Any]] = []
    faults: list[LocatedFault] = []
    for file, item in planned:
        rendered = render_objects(item)
        if isinstance(rendered, Fault):
            faults += files.locate(file, item.model.name, [rendered])
        else:
            objects += rendered
    if faults:
        raise FaultsFoundError(faults)
    return objects


def _config_of_all(planned: list[Planned]) -> dict[str, Any]:
    """Return one Serve config; several models answer below their names."""
    several = len(planned) > 1
    found = [
        model_application(item.model, _plan(item), f"/{item.model.name}" if several else "/")
        for item in planned
    ]
    config = serve_config(application for application in found if application)
    _check(config, ", ".join(item.model.name for item in planned))
    return config


def _check(config: dict[str, Any], names: str) -> None:
    faults = check_serve_config(config)
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise FreeholdError(
            f"the Serve config of {names} is refused; this is a bug in Freehold, "
            f"please report it with the manifest:\n{listed}"
        )


def _plan(planned: Planned) -> Plan:
    assert not isinstance(planned.answer, NoPlan), "a refusal is never rendered"
    return planned.answer
