"""What a kubelet writes of a pod that has read a source: nothing runs in pods here."""

from __future__ import annotations

import json
from typing import Any

from tests.control_plane.cluster import Cluster


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
