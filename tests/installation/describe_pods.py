"""Stands in for the pods that read sources: nothing runs in pods here.

What such a pod would run runs as a process of this machine, which is where the nodes' folders are;
a hub is not asked, every branch of it means one commit. The answer is written as a kubelet does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.control_plane.cluster import Cluster, KubectlFailed
from tests.control_plane.plain_api import RequestFailed
from tests.repeating import repeated

from freehold.render.source_pin import SourcePin
from freehold.sources.told import Told, tell

COMMIT = "0" * 40
_SELECTOR = "freehold.dev/task=describe"
_EVERY_S = 0.5


@contextmanager
def reading_sources(cluster: Cluster) -> Iterator[None]:
    """Run what pods that read sources would run, for as long as the context lasts."""
    with repeated(lambda: _end_all(cluster), _EVERY_S):
        yield


def _end_all(cluster: Cluster) -> None:
    # the API server may be away, and a pod gone
    with suppress(RequestFailed, KubectlFailed):
        for pod in cluster.list("pods", selector=_SELECTOR):
            if pod["status"].get("phase") == "Running":
                end_describing(cluster, pod, _answer(pod["spec"]["containers"][0]["args"]))


def _answer(arguments: list[str]) -> str:
    """Return what the command leaves in its termination message."""
    if arguments[1].startswith("hf://"):
        return tell(Told(pin=SourcePin(COMMIT)))
    with TemporaryDirectory() as folder:
        message = Path(folder) / "message"
        given = [it for it in arguments if not it.startswith("--output=")]
        command = [sys.executable, "-m", "freehold", *given, f"--output={message}"]
        subprocess.run(command, capture_output=True, check=False)
        return message.read_text() if message.exists() else ""


def end_describing(
    cluster: Cluster, pod: dict[str, Any], message: str, code: int = 0, reason: str = ""
) -> None:
    """Write that a pod has ended with a message."""
    ended = {
        "exitCode": code,
        "reason": reason or ("Error" if code else "Completed"),
        "message": message,
        "finishedAt": "2030-01-01T00:00:00Z",
    }
    container = {
        "name": "describe",
        "image": pod["spec"]["containers"][0]["image"],
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": ended},
    }
    status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}
    where = (pod["metadata"]["name"], f"--namespace={pod['metadata']['namespace']}")
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", "pod", *where, "--subresource=status", "--type=merge", f"-p={patch}")
