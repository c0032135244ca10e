"""``freehold plan``: how a model lies on its hardware, what it costs, and why not otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from freehold.api.faults import Fault
from freehold.catalog.builtin import Catalog, builtin_catalog
from freehold.cli.output import console, manifest_arguments, offline_option
from freehold.compose import Planned
from freehold.errors import NoPlanFits
from freehold.manifest_files import plan_all, read_valid
from freehold.plan.accelerator import resolve_class
from freehold.plan.plan import Plan
from freehold.plan.planner import Option
from freehold.status.plan_status import plan_status


def _complete_classes(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    names = sorted(builtin_catalog().classes)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command(
    epilog="""
    Examples:

    \b
    freehold plan examples/llama-3.1-405b.yaml
        the chosen candidate, what each of its devices holds, and why the others were passed over

    \b
    freehold plan examples/llama-3.1-405b.yaml --accelerator h100-80gb --accelerator l4-24gb
        what each of these classes would make of it, whatever candidates the manifest names

    \b
    freehold plan examples/llama-3.1-70b.yaml --all
        the same, and every class of the catalogue beside it

    \b
    freehold plan examples/llama-3.1-8b.yaml -o json | jq -r .hourlyCost.amount
        the object that the operator writes under status.plan

    Exit codes: 0 planned, 2 the manifest is wrong, 3 no hardware fits, 5 the model's files cannot
    be read: no such folder, an incomplete download, gated, no network.
    """
)
@manifest_arguments()
@click.option(
    "--accelerator",
    "accelerators",
    multiple=True,
    metavar="CLASS",
    shell_complete=_complete_classes,
    help="Plan for this class instead of the manifest's candidates; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    help="text for people; json or yaml for status.plan (a list for several models).",
)
@offline_option()
@click.option("--all", "everything", is_flag=True, help="Show every class of the catalogue.")
def plan(
    files: tuple[str, ...],
    accelerators: tuple[str, ...],
    output: str,
    offline: bool,
    everything: bool,
) -> None:
    """Show how a model would be laid over its hardware, and what it would cost.

    Nothing is created and no cluster is asked. Prices are list prices of one replica.
    """
    given = read_valid(files)
    only = tuple(_option(name, given.manifests.catalog) for name in accelerators)
    choose = (lambda *_: only) if only else None
    planned = [item for _, item in plan_all(given, offline, choose)]
    if output == "text":
        classes = _every_class(given.manifests.catalog) if everything else []
        _show(planned, classes, apart=bool(only))
    else:
        _print_data([_status(item) for item in planned], output)
    _refuse_unplanned(planned)


def _option(name: str, catalog: Catalog) -> Option:
    found = resolve_class(name, catalog.classes, "--accelerator")
    if isinstance(found, Fault):
        raise click.UsageError(str(found))
    return Option(found.name, found)


def _every_class(catalog: Catalog) -> list[Option]:
    """Return every accelerator; bare cores only serve where a manifest names them."""
    options = [_option(name, catalog) for name in sorted(catalog.classes)]
    return [option for option in options if option.accelerator.vendor != "cpu"]


def _show(planned: Iterable[Planned], classes: list[Option], apart: bool) -> None:
    # only here, since rich takes longer to import than a plan takes to make
    from freehold.cli import page as pages
    from freehold.cli import plan_view as view

    target = console()
    page = pages.Page(target, pages.can_shade(target))
    for i, item in enumerate(planned):
        if i:
            page.gap()
        view.show_model(page, item)
        if apart:
            view.show_apart(page, item.question)
        else:
            view.show_answer(page, item)
        if classes:
            view.show_classes(page, item.question, classes)


def _status(planned: Planned) -> dict[str, Any] | None:
    answer = planned.answer
    return plan_status(answer).to_dict() if isinstance(answer, Plan) else None


def _print_data(objects: list[dict[str, Any] | None], output: str) -> None:
    """Print one object, or the list of several; null stands for a model that nothing carries."""
    data: Any = objects[0] if len(objects) == 1 else objects
    if output == "json":
        click.echo(json.dumps(data, indent=2))
        return
    from freehold.render.serve_config import to_yaml

    click.echo(to_yaml(data), nl=False)


def _refuse_unplanned(planned: Iterable[Planned]) -> None:
    without = [item.model.name for item in planned if not isinstance(item.answer, Plan)]
    if without:
        raise NoPlanFits(f"no candidate carries {', '.join(without)}")
