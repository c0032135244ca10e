"""``freehold describe``: what a source holds now, for people and for the operator."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.errors import ManifestInvalid, WeightsUnavailable
from freehold.sources.describe import look_at
from freehold.sources.told import tell


@click.command(
    epilog="""
    Examples:

    \b
    freehold describe hf://Qwen/Qwen3-8B
        tells the model's shape and the commit that its main branch means now

    \b
    AWS_ENDPOINT_URL=http://minio:9000 freehold describe s3://models/llama-3.1-8b
        tells the shape and the digest of the files in a bucket

    The operator runs it in a pod of the model's namespace and reads what it leaves in --output.
    Credentials are those of the environment: HF_TOKEN, AWS_*, GOOGLE_APPLICATION_CREDENTIALS,
    AZURE_*, or those of the pod's service account.

    Exit codes: 0 told, 2 the source is wrong, 5 the source has no model that can be used.
    """
)
@click.argument("source")
@click.option("--revision", help="Branch, tag or commit of a hub's repository.")
@click.option(
    "--pin-only",
    is_flag=True,
    help="Tell the commit or the digest alone, of a model whose shape is known.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write the answer to, faults included; standard output unless given.",
)
def describe(source: str, revision: str | None, pin_only: bool, output: Path | None) -> None:
    """Tell the shape of the model at SOURCE and what pins it: a commit, or its files' digest."""
    if "://" not in source:
        raise ManifestInvalid(f"SOURCE: found {source}; allowed: a URL as spec.model.source has it")
    told = look_at(source, revision, with_model=not pin_only)
    text = tell(told)
    if output is not None:
        output.write_text(text, "utf-8")
    if told.faults:
        raise WeightsUnavailable("\n".join(str(fault) for fault in told.faults))
    if output is None:
        click.echo(text)
