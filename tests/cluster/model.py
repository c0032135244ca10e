"""A model on a real node: what its owner does with it, and what a client sees."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.control_plane.cluster import Cluster, holds
from tests.control_plane.processes import wait_for
from tests.integration.operator import condition

Object = dict[str, Any]
# An engine that starts on two shared cores, with another one beside it that answers.
ENGINE_SECONDS = 400.0
_STATUS_SECONDS = 120.0
_PORT = 8000
# no proxy of the environment stands between this machine and its node
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Model:
    """A ModelDeployment and the way to its endpoint.

    Attributes:
        cluster: Its cluster.
        namespace: Its namespace.
        name: Its name.
    """

    cluster: Cluster
    namespace: str
    name: str

    @classmethod
    @contextmanager
    def deployed(
        cls, cluster: Cluster, manifest: Path, namespace: str = "models"
    ) -> Iterator[Model]:
        """Apply a manifest in a namespace of its own; both go at the end."""
        name = yaml.safe_load(manifest.read_text())["metadata"]["name"]
        cluster.kubectl("create", "namespace", namespace)
        found = cls(cluster, namespace, name)
        try:
            found.kubectl("apply", f"--filename={manifest}")
            yield found
        finally:
            found.kubectl("delete", "fmd", name, "--wait")
            cluster.kubectl("delete", "namespace", namespace)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl in the model's namespace."""
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    @property
    def now(self) -> Object:
        """The ModelDeployment."""
        found = self.cluster.get("fmd", self.name, self.namespace)
        assert found is not None
        return found

    @property
    def status(self) -> Object:
        """Its status."""
        return dict(self.now.get("status") or {})

    def condition(self, kind: str) -> Object:
        """Return one of its conditions."""
        return condition(self.now, kind)

    def wait(self, kind: str, status: str, reason: str, seconds: float = _STATUS_SECONDS) -> Object:
        """Wait until a condition has a status and a reason; returns the condition."""

        def found() -> Object | None:
            now = self.condition(kind)
            return now if (now.get("status"), now.get("reason")) == (status, reason) else None

        return self.until(f"{kind} is {status}/{reason}", found, seconds)

    def until(self, what: str, found: Callable[[], Any], seconds: float = ENGINE_SECONDS) -> Any:
        """Wait until something is found; an error tells the status as it is."""
        try:
            return wait_for(what, found, seconds, every=0.5)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{json.dumps(self.status, indent=1)}") from None

    def edit(self, **spec: Any) -> None:
        """Merge fields into the spec."""
        patch = json.dumps({"spec": spec})
        self.kubectl("patch", "fmd", self.name, "--type=merge", f"--patch={patch}")

    def standing(self, role: str) -> list[Object]:
        """Return its pods of a role that are to stay, ``head`` or ``worker``."""
        selector = f"freehold.dev/model={self.name},ray.io/node-type={role}"
        found = self.cluster.list("pods", self.namespace, selector)
        return [it for it in found if "deletionTimestamp" not in it["metadata"]]

    def pods(self, role: str = "worker") -> list[str]:
        """Return the names of those."""
        return [it["metadata"]["name"] for it in self.standing(role)]

    def settled(self, role: str) -> str | None:
        """Return the name of the ready pod of a role that was made first, if one is ready.

        It is the one that stays: Serve takes away a replica that starts before one that runs.
        """
        ready = [it for it in self.standing(role) if holds(it, "Ready")]
        made = sorted((it["metadata"]["creationTimestamp"], it["metadata"]["name"]) for it in ready)
        return made[0][1] if made else None

    @property
    def serving_workers(self) -> set[str]:
        """The names of the worker pods of the cluster that serves: none of a rollout's."""
        service = self.cluster.get("rayservice", self.name, self.namespace)
        assert service is not None
        serving = service["status"]["activeServiceStatus"]["rayClusterName"]
        return {
            it["metadata"]["name"]
            for it in self.standing("worker")
            if it["metadata"]["labels"]["ray.io/cluster"] == serving
        }

    @property
    def url(self) -> str:
        """The endpoint, by the address of its Service: this machine knows no cluster DNS."""
        service = self.cluster.get("service", self.name, self.namespace)
        assert service is not None
        return f"http://{service['spec']['clusterIP']}:{_PORT}"

    @property
    def key(self) -> str:
        """The key that was generated for it."""
        secret = self.cluster.get("secret", f"{self.name}-api-key", self.namespace)
        assert secret is not None
        return base64.b64decode(secret["data"]["api-key"]).decode()

    def opens(self, key: str) -> bool:
        """Whether a key is taken; asked at zero replicas, it wakes one."""
        request = urllib.request.Request(
            f"{self.url}/v1/models", headers={"Authorization": f"Bearer {key}"}
        )
        try:
            with _DIRECT.open(request, timeout=ENGINE_SECONDS) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return False
            raise

    def complete(self, prompt: str, tokens: int, *, seconds: float = ENGINE_SECONDS) -> Object:
        """Return what the endpoint answers to a prompt, at temperature 0.

        Raises:
            urllib.error.HTTPError: It refuses.
        """
        asked = {"model": self.name, "prompt": prompt, "max_tokens": tokens, "temperature": 0}
        request = urllib.request.Request(
            f"{self.url}/v1/completions",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"},
        )
        with _DIRECT.open(request, timeout=seconds) as answer:
            return dict(json.load(answer))
