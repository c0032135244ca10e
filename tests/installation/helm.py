"""The charts, rendered and installed by the real Helm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.control_plane.cluster import Cluster
from tests.installation import ROOT

CHART, CRDS_CHART = ROOT / "charts" / "freehold", ROOT / "charts" / "freehold-crds"
RELEASE, CRDS_RELEASE, SYSTEM = "freehold", "freehold-crds", "freehold-system"


class HelmFailed(RuntimeError):
    """``helm`` ended with an error, which is the message."""


def helm(cluster: Cluster, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> str:
    """Run ``helm`` and return what it wrote to standard output.

    Args:
        cluster: The cluster that it talks to, if it does.
        arguments: Its arguments.
        values: Handed over as ``--values -``.

    Raises:
        HelmFailed: It ended with an error.
    """
    given = ["--values=-"] if values is not None else []
    text = yaml.safe_dump(dict(values)) if values is not None else None
    done = cluster.run("helm", *arguments, *given, stdin=text)
    if done.returncode:
        raise HelmFailed(f"helm {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


def render(
    cluster: Cluster, values: Mapping[str, Any], *, namespace: str = SYSTEM, chart: Path = CHART
) -> str:
    """Return what ``helm template`` makes of the operator's chart."""
    where = f"--namespace={namespace}"
    return helm(cluster, "template", RELEASE, chart, where, "--skip-tests", values=values)


def rendered_objects(
    cluster: Cluster, values: Mapping[str, Any], *, namespace: str = SYSTEM
) -> list[dict[str, Any]]:
    """Return the objects that the operator's chart makes."""
    documents = yaml.safe_load_all(render(cluster, values, namespace=namespace))
    return [document for document in documents if document]


def install(
    cluster: Cluster, release: str, chart: Path, values: Mapping[str, Any] | None = None
) -> str:
    """Install or upgrade a release and wait until its pods are ready; return its notes."""
    ready = ("--wait", "--timeout=60s", f"--namespace={SYSTEM}")
    return helm(cluster, "upgrade", "--install", release, chart, *ready, values=values or {})


def uninstall(cluster: Cluster, release: str) -> None:
    """Uninstall a release and wait until its objects are gone."""
    done = ("--wait", "--timeout=60s", f"--namespace={SYSTEM}", "--ignore-not-found")
    helm(cluster, "uninstall", release, *done)
