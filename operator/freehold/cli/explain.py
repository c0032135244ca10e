"""``freehold explain``: why a model has as many replicas as it has."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from kubernetes.aio.config import ConfigException
from pydantic import TypeAdapter, ValidationError

from freehold.api.names import MODEL_LABEL
from freehold.api.scalars import Duration, duration_seconds
from freehold.cli.explain_view import show
from freehold.cli.output import console
from freehold.errors import ClusterUnreachable, ManifestInvalid, RayUnavailable
from freehold.kube.client import KubeClient, load_configuration
from freehold.kube.errors import KubeError
from freehold.kube.pod_exec import output_of
from freehold.kube.resources import PODS
from freehold.render.endpoint_service import HEAD_LABEL
from freehold.render.pod_template import HEAD_CONTAINER
from freehold.status.decisions import SCALING_LOG, Decided, read_decisions
from freehold.status.raw import text

# Where Ray keeps what Serve logs, and the seconds between two decisions, of which each is a line.
_FOLDER, _EVERY_S = "/tmp/ray/session_latest/logs/serve", 2.0
# The file and the one before it.
_READ = 'cd "$0" && cat "$1.1" "$1" 2>/dev/null | tail -n "$2"'

_DURATION: TypeAdapter[str] = TypeAdapter(Duration)


class _Since(click.ParamType[float]):
    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            seconds = duration_seconds(_DURATION.validate_python(value))
        except ValidationError:
            seconds = 0.0
        if seconds <= 0:
            self.fail(f"found {value}; allowed: a time such as 30m or 2h", param, ctx)
        return seconds


@click.command(
    epilog="""
    Examples:

    \b
    freehold explain llama-3-1-8b --namespace models
        shows the last hour of decisions about its replicas, each with what was seen

    \b
    freehold explain --log freehold_scaling_chat.log --since 10m
        shows those of a log that was copied

    Reads the policy's log in the model's head pod: it asks for the rights to list pods and to run a
    command in one (pods/exec). Exit codes: 0 shown, 2 the command line is wrong, 7 there is no log,
    8 the cluster refuses.
    """
)
@click.argument("model", required=False)
@click.option("-n", "--namespace", default="default", show_default=True, help="Of the model.")
@click.option("--since", type=_Since(), default="1h", show_default=True, help="How far back.")
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A log to read in place of a model's own.",
)
@click.option("--kubeconfig", help="Kubeconfig to use, not the one that kubectl would take.")
def explain(
    model: str | None, namespace: str, since: float, log: Path | None, kubeconfig: str | None
) -> None:
    """Show the last decisions about MODEL's replicas, and what they were made of."""
    if (model is None) == (log is None):
        raise ManifestInvalid("found none or both; allowed: MODEL, or --log with a file")
    if log is not None:
        said, where = log.read_text("utf-8", errors="replace"), str(log)
    else:
        said, where = asyncio.run(_log_of(str(model), namespace, since, kubeconfig))
    show(console(), _recent(read_decisions(said), since, where))


def _recent(decisions: tuple[Decided, ...], since: float, where: str) -> tuple[Decided, ...]:
    """Return the decisions that are not older than the last one by more than so many seconds."""
    if not decisions:
        raise RayUnavailable(
            f"{where}: no decision found; a model without spec.autoscaling or that is suspended "
            f"has none, and one that has just been made has none yet"
        )
    return tuple(it for it in decisions if it.time >= decisions[-1].time - since)


async def _log_of(
    model: str, namespace: str, since: float, kubeconfig: str | None
) -> tuple[str, str]:
    """Return the last lines of a model's log, and where it is."""
    try:
        configuration = await load_configuration(kubeconfig)
        async with KubeClient(configuration) as client:
            labels = {MODEL_LABEL: model, **HEAD_LABEL}
            label = ",".join(f"{key}={value}" for key, value in labels.items())
            pods, _ = await client.list_all(PODS, namespace, label)
        running = [it for it in pods if it.get("status", {}).get("phase") == "Running"]
        if not running:
            raise RayUnavailable(
                f"{namespace}/{model}: no head pod runs; `kubectl describe fmd {model} "
                f"--namespace {namespace}` tells why"
            )
        newest = max(running, key=lambda it: str(it["metadata"]["creationTimestamp"]))
        pod = text(newest["metadata"]["name"])
        log = SCALING_LOG.format(model)
        command = ["sh", "-c", _READ, _FOLDER, log, str(round(since / _EVERY_S) + 1)]
        said = await output_of(configuration, namespace, pod, HEAD_CONTAINER, command)
        return said, f"{namespace}/{pod}: {_FOLDER}/{log}"
    except ConfigException as error:
        raise ClusterUnreachable(f"no cluster is configured: {error}") from error
    except KubeError as error:
        raise ClusterUnreachable(f"{namespace}/{model}: {error}") from error
