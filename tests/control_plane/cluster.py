"""A cluster by its kubeconfig, ours or any other, as tests use it: kubectl and simulated nodes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.pinned import tool
from tests.control_plane.plain_api import PlainApi
from tests.control_plane.processes import wait_for

# how long a command of kubectl may take, beyond what it waits for on purpose
SECONDS = 120.0
TOKEN_HOURS = 24 * 365


class KubectlFailed(RuntimeError):
    """``kubectl`` ended with an error, which is the message."""


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster.

    Attributes:
        kubeconfig: The path of a kubeconfig whose current context is an administrator's.
    """

    kubeconfig: Path

    @cached_property
    def _api(self) -> PlainApi:
        return PlainApi(self.kubeconfig)

    def as_service_account(self, namespace: str, name: str, folder: Path) -> Cluster:
        """Return the same cluster with a token of a service account, and nothing else.

        Nobody renews the token, as a kubelet does, so it holds for longer than any test or cluster
        of an afternoon.

        Args:
            namespace: Namespace of the service account.
            name: Its name.
            folder: Where the kubeconfig is written.
        """
        asked = ("create", "token", name, f"--duration={TOKEN_HOURS}h")
        token = self.kubectl("--namespace", namespace, *asked).strip()
        shown = self.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json")
        config = json.loads(shown)
        for user in config["users"]:
            user["user"] = {"token": token}
        path = folder / f"{namespace}-{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return Cluster(path)

    @property
    def environment(self) -> dict[str, str]:
        """The environment for programs that find the cluster by ``KUBECONFIG``."""
        # what kubectl knows of a server is kept by its port, which another control plane had
        caches = {"KUBECACHEDIR": f"{self.kubeconfig}.cache"}
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), **caches}

    def run(
        self, program: str, *arguments: str | Path, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the tools, such as ``helm``, against this cluster; errors are the caller's."""
        return subprocess.run(
            [tool(program), *map(str, arguments)],
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run ``kubectl`` and return what it wrote to standard output.

        Raises:
            KubectlFailed: It ended with an error.
        """
        done = self.run("kubectl", *arguments, stdin=stdin)
        if done.returncode:
            words = " ".join(map(str, arguments))
            raise KubectlFailed(f"kubectl {words}: {done.stderr.strip()}")
        return done.stdout

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Return an object, or None where there is none."""
        return self._api.get(kind, name, namespace)

    def list(
        self, kind: str, namespace: str | None = None, selector: str = ""
    ) -> list[dict[str, Any]]:
        """Return objects of kinds, in all namespaces unless one is given."""
        return self._api.list(kind, namespace, selector)

    @contextmanager
    def namespace(self, name: str) -> Iterator[None]:
        """Have a namespace in which pods are admitted; in the end it goes, its pods at once."""
        self._api.create("namespaces", {"metadata": {"name": name}})
        # made by the controller manager, and without it no pod is admitted
        wait_for(
            f"{name} has its service account",
            lambda: self.get("serviceaccount", "default", name) is not None,
            30,
        )
        try:
            yield
        finally:
            self._api.delete("namespaces", name)
            # the controller manager begins seconds later, and the next test may need the nodes
            self._api.delete_all("pods", name)

    def apply(self, *objects: Mapping[str, Any], namespace: str | None = None) -> None:
        """Apply objects server-side, with strict field validation."""
        where = ["--namespace", namespace] if namespace else []
        self.kubectl(
            "apply",
            "--server-side",
            "--validate=strict",
            *where,
            "--filename=-",
            stdin=_list(objects),
        )

    def apply_crds(self, *paths: Path) -> None:
        """Apply CRDs of files or folders and wait until the API server serves them."""
        files = [f"--filename={path}" for path in paths]
        self.kubectl("apply", "--server-side", *files)

        def served() -> bool:
            # `kubectl wait` fails at once where one has no conditions yet
            found = json.loads(self.kubectl("get", "--output=json", *files))
            return all(holds(it, "Established") for it in found.get("items", [found]))

        wait_for(f"the kinds of {[str(path) for path in paths]} are served", served, 60.0)

    def add_nodes(self, nodes: Iterable[SimulatedNode], seconds: float = 60.0) -> None:
        """Create simulated nodes and wait until the scheduler may use them."""
        wanted = {node.name: node for node in nodes}
        self.kubectl(
            "create", "--filename=-", stdin=_list(node.manifest() for node in wanted.values())
        )

        def ready() -> bool:
            found = {node["metadata"]["name"]: node for node in self.list("nodes")}
            return all(_is_ready(found.get(name)) for name in wanted)

        wait_for(f"nodes {sorted(wanted)} are ready", ready, seconds)

    def say_of(self, pod: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Write a part of a pod's status, as its kubelet does."""
        metadata, patch = pod["metadata"], json.dumps({"status": status})
        where = ("--namespace", metadata["namespace"], "pod", metadata["name"])
        self.kubectl("patch", *where, "--subresource=status", "--type=merge", f"--patch={patch}")

    @contextmanager
    def standing(self, nodes: Iterable[SimulatedNode]) -> Iterator[None]:
        """Have simulated nodes for as long as the context lasts."""
        kept = list(nodes)
        self.add_nodes(kept)
        try:
            yield
        finally:
            self.remove_nodes(node.name for node in kept)

    def remove_nodes(self, names: Iterable[str]) -> None:
        """Delete nodes, as a cloud that takes its machines back."""
        self.kubectl("delete", "nodes", "--ignore-not-found", *names)


def _list(objects: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def holds(item: Mapping[str, Any] | None, condition: str) -> bool:
    """Whether a condition of an object is True; not where there is no object."""
    conditions = ((item or {}).get("status") or {}).get("conditions") or []
    return any(it["type"] == condition and it["status"] == "True" for it in conditions)


def _is_ready(node: dict[str, Any] | None) -> bool:
    if node is None:
        return False
    # the node life-cycle controller takes this taint off a moment after the node is ready
    taints = {taint["key"] for taint in node["spec"].get("taints", [])}
    return holds(node, "Ready") and "node.kubernetes.io/not-ready" not in taints
