"""The operator as its pod would run it, where no kubelet runs: a process of this machine.

It gets what the rendered Deployment says, and what a kubelet would make of it: the arguments, the
environment and nothing else, a token of the service account, the Secret with the installation's
key once it is there, and a folder for its volumes.
"""

from __future__ import annotations

import base64
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes, Server, wait_for
from tests.installation import ROOT

Object = Mapping[str, Any]
# What the image starts.
_FREEHOLD = (sys.executable, "-m", "freehold")
_KEY_VOLUME, _KEY_OPTION = "install-key", "--install-key-file="
_MOUNT_SECONDS, _READY_SECONDS = 60.0, 60.0


@dataclass(frozen=True)
class OperatorProcess:
    """A running operator.

    Attributes:
        cluster: The cluster, as its administrator sees it.
        namespace: The operator's namespace.
        pod: The pod's spec.
        server: The process.
        key_file: The file with the installation's key.
    """

    cluster: Cluster
    namespace: str
    pod: Object
    server: Server
    key_file: Path

    @property
    def port(self) -> int:
        """The port of its metrics and probes."""
        return int(self.pod["containers"][0]["ports"][0]["containerPort"])

    @property
    def user(self) -> str:
        """Its name to the API server."""
        return f"system:serviceaccount:{self.namespace}:{self.pod['serviceAccountName']}"

    def mount_key(self) -> bool:
        """Write the key's file if its Secret is there, as a kubelet does; tell whether it is."""
        if self.key_file.exists():
            return True
        (volume,) = (it for it in self.pod["volumes"] if it["name"] == _KEY_VOLUME)
        secret = self.cluster.get("secret", volume["secret"]["secretName"], self.namespace)
        if secret is None:
            return False
        draft = self.key_file.with_suffix(".draft")
        draft.write_bytes(base64.b64decode(secret["data"][_KEY_VOLUME]))
        draft.replace(self.key_file)
        return True

    def is_ready(self) -> bool:
        """Tell whether its readiness probe succeeds."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def wait_until_ready(self) -> None:
        """Mount what it waits for, and wait until it leads or stands by.

        Raises:
            ServerFailed: It ended, or is not ready in time; carries the end of its log.
            TimeoutError: It does not make its Secret.
        """
        wait_for("the installation's key is there", self.mount_key, _MOUNT_SECONDS)
        self.server.ready_when(self.is_ready, _READY_SECONDS)


def start_operator_process(
    cluster: Cluster, processes: Processes, deployment: Object, pod_name: str = "operator-0"
) -> OperatorProcess:
    """Start what a Deployment of the chart asks for.

    Args:
        cluster: The cluster, in which the Deployment's service account is.
        processes: What it ends with.
        deployment: The Deployment, rendered or as it is installed.
        pod_name: Name of the pod that it stands for.
    """
    namespace = deployment["metadata"]["namespace"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    own = cluster.as_service_account(namespace, pod["serviceAccountName"], processes.folder)
    key_file = processes.folder / _KEY_VOLUME
    given = dict(_environment(container, namespace, pod_name, processes.folder))
    server = processes.start(
        "operator",
        [*_FREEHOLD, *_arguments(container, key_file)],
        # in a pod the first is mounted, and the second installed
        {**given, "KUBECONFIG": str(own.kubeconfig), "PYTHONPATH": str(ROOT / "operator")},
    )
    return OperatorProcess(cluster, namespace, pod, server, key_file)


def _arguments(container: Object, key_file: Path) -> list[str]:
    """Return the container's arguments, with the key's file where it can be put."""
    given = container["args"]
    return [f"{_KEY_OPTION}{key_file}" if it.startswith(_KEY_OPTION) else it for it in given]


def _environment(
    container: Object, namespace: str, pod_name: str, folder: Path
) -> Iterator[tuple[str, str]]:
    """Yield the container's environment, with the folder where its volumes would be."""
    downward = {"metadata.name": pod_name, "metadata.namespace": namespace}
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    for entry in container["env"]:
        if "valueFrom" in entry:
            yield entry["name"], downward[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        else:
            value = entry.get("value", "")
            yield entry["name"], str(folder) if value in mounts else value
