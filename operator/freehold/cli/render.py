"""``freehold render``: what a manifest becomes, as text that can be read, kept and compared."""

from __future__ import annotations

from typing import Any

import click

from freehold.api.faults import Fault
from freehold.api.manifest import DEFAULT_NAMESPACE
from freehold.cli.output import manifest_arguments, offline_option
from freehold.compose import LocatedFault, Planned, require_accepted, require_planned
from freehold.manifest_files import (
    FaultsFoundError,
    Files,
    plan_all,
    read_valid,
    require_names_apart,
)
from freehold.plan.plan import NoPlan, Plan
from freehold.render.objects import model_objects, model_serve_config, object_yaml
from freehold.render.scaling import surge_percent
from freehold.render.serve_config import serve_application, serve_config, to_yaml
from freehold.serving_archive import serving_archive


@click.command(
    epilog="""
    Examples:

    \b
    freehold render examples/llama-3.1-8b.yaml
        prints the objects of the model, its Serve config checked against Ray and vLLM

    \b
    freehold render --serve-config examples/gemma-3-270m.yaml
        prints the Serve config alone, as `freehold run` hands it to Ray

    \b
    freehold render --offline models/*.yaml > all.yaml && diff all.yaml last.yaml
        the same manifests give the same bytes, so a difference is a change

    Exit codes: 0 rendered, 2 the manifest is wrong, 3 no hardware fits, 5 the model's files cannot
    be read: no such folder, an incomplete download, gated, no network.
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

    With it come the NetworkPolicies, a ConfigMap with the code that runs inside Ray and the Service
    of the endpoint. The Secrets that pods mount are not among them: what is in them only the
    operator can derive, or is yours. No cluster is asked.
    """
    given = read_valid(files)
    if config_only:
        require_names_apart(given)
    planned = plan_all(given, offline)
    require_planned(item for _, item in planned)
    if config_only:
        text = to_yaml(_config_of_all([item for _, item in planned]))
    else:
        text = "---\n".join(object_yaml(item) for item in _objects(given, planned))
    click.echo(text, nl=False)


def render_objects(planned: Planned) -> list[dict[str, Any]] | Fault:
    """Return the objects of one model, in the order in which they are applied.

    Returns:
        The objects, or what the model lacks to be served on a cluster.

    Raises:
        RenderingRefused: By Ray's or vLLM's schema.
    """
    model, plan = planned.model, _plan(planned)
    require_accepted(model_serve_config(model, plan))
    namespace = model.metadata.namespace or DEFAULT_NAMESPACE
    return model_objects(model, plan, namespace, serving_archive())


def _objects(files: Files, planned: list[tuple[str, Planned]]) -> list[dict[str, Any]]:
    """Return the objects of all models; what each of them lacks is told at once."""
    objects: list[dict[str, Any]] = []
    faults: list[LocatedFault] = []
    for file, item in planned:
        rendered = render_objects(item)
        if isinstance(rendered, Fault):
            faults += files.locate(file, item.model, [rendered])
        else:
            objects += rendered
    if faults:
        raise FaultsFoundError(faults)
    return objects


def _config_of_all(planned: list[Planned]) -> dict[str, Any]:
    """Return one Serve config; several models answer below their names."""
    several = len(planned) > 1
    found = [
        serve_application(
            item.model,
            _plan(item),
            route_prefix=f"/{item.model.name}" if several else "/",
            surge_percent=surge_percent(item.model.spec),
        )
        for item in planned
    ]
    config = serve_config(application for application in found if application)
    require_accepted(config)
    return config


def _plan(planned: Planned) -> Plan:
    assert not isinstance(planned.answer, NoPlan), "a refusal is never rendered"
    return planned.answer
