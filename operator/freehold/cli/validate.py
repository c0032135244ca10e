"""``freehold validate``: every fault of every file, or that there is none."""

from __future__ import annotations

import click

from freehold.cli.output import manifest_arguments
from freehold.manifest_files import FaultsFoundError, read


@click.command(
    epilog="""
    Examples:

    \b
    freehold validate model.yaml
        model.yaml: ModelDeployment llama-3-1-8b is valid

    \b
    freehold validate models/*.yaml
        all files together: a model may use an accelerator class that stands in another file

    \b
    helm template ./chart | freehold validate -
        reads standard input

    Nothing is asked of a hub or a cluster. Whether the hardware can carry the model is what
    `freehold plan` answers. Exit codes: 0 valid, 2 not.
    """
)
@manifest_arguments()
def validate(files: tuple[str, ...]) -> None:
    """Check manifests and report every fault with its line.

    Checks the fields, the rules between them, the names of accelerator classes against the
    catalogue and the files themselves, and the engine arguments against the engine's own list.
    """
    given = read(files)
    faults = given.manifests.faults
    wrong = {fault.file for fault in faults}
    for file, kind, name in given.objects():
        if file not in wrong:
            click.echo(f"{file}: {kind} {name} is valid")
    if faults:
        raise FaultsFoundError(faults)
