"""A RayService of a test, and what KubeRay made of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import wait_for
from tests.installation.kuberay import KubeRay
from tests.integration.recording import Recording, conditions

Object = dict[str, Any]
# KubeRay looks every 2 s, and a change takes a few looks.
SECONDS = 60.0
NAME = "tiny"


def group(name: str = "cpu", **more: Any) -> Object:
    """Return a worker group of one replica."""
    bounds = {"replicas": 1, "minReplicas": 1, "maxReplicas": 2, "numOfHosts": 1}
    labels = {"freehold.dev/model": NAME}
    container = {"name": "ray", "image": "ray:1", "resources": {"requests": {"cpu": "1"}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {"groupName": name, **bounds, "rayStartParams": {}, "template": template} | more


def serve_config(**application: Any) -> str:
    """Return a Serve config of one application of one model."""
    args = {"llm_configs": [{"model_loading_config": {"model_id": NAME}}]}
    scaling = {"min_replicas": 1, "max_replicas": 2}
    server = {"name": f"LLMServer:{NAME}", "autoscaling_config": scaling}
    whole = {
        "name": NAME,
        "route_prefix": "/",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": args,
        "deployments": [server, {"name": "OpenAiIngress"}],
    }
    return yaml.safe_dump({"applications": [whole | application]})


def ray_service(**spec: Any) -> Object:
    """Return a RayService with one head and one worker."""
    container = {"name": "ray", "image": "ray:1", "resources": {"requests": {"cpu": "1"}}}
    template = {"spec": {"containers": [container]}}
    cluster = {
        "rayVersion": "2.60.0",
        "headGroupSpec": {"rayStartParams": {}, "template": template},
        "workerGroupSpecs": [group()],
    }
    metadata = {"name": NAME, "labels": {"team": "a"}, "annotations": {"note": "b"}}
    whole = {
        "serveConfigV2": serve_config(),
        "rayClusterDeletionDelaySeconds": 1,
        "rayClusterConfig": cluster,
    }
    spec = whole | spec
    return {"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, slots=True)
class World:
    """One namespace with one RayService, and KubeRay at work on it."""

    cluster: Cluster
    namespace: str
    kuberay: KubeRay
    recorded: Recording

    def start(self, item: Object | None = None) -> Object:
        """Apply a RayService and wait until it is ready; returns it."""
        self.apply(item or ray_service())
        return self.wait("it is ready", lambda found: self.is_settled(found))

    def apply(self, item: Object) -> None:
        """Apply an object, taking over what KubeRay owns of it."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f-", stdin=json.dumps(item))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    @property
    def now(self) -> Object:
        """The RayService as it is."""
        found = self.cluster.get("rayservice", NAME, self.namespace)
        assert found is not None
        return found

    @property
    def mark(self) -> int:
        """How many states were recorded so far, the present one left out."""
        self.eventually("it is recorded", lambda: self.recorded.has(self.now))
        return len(self.recorded.states) - 1

    @property
    def active(self) -> str:
        """The name of the active cluster."""
        name: str = self.now["status"]["activeServiceStatus"]["rayClusterName"]
        return name

    @property
    def asked(self) -> Object:
        """What the fake of Ray was asked."""
        return self.kuberay.ray.model(self.namespace, NAME)

    def all(self, kind: str) -> list[Object]:
        """Return the namespace's objects of a kind."""
        return self.cluster.list(kind, self.namespace)

    def is_settled(self, found: Object) -> bool:
        """Return whether a RayService is ready, for the spec that it has, with nothing pending."""
        told = conditions(found)
        return (
            found["status"].get("observedGeneration") == found["metadata"]["generation"]
            and told.get("Ready") == "True/NonZeroServeEndpoints"
            and told.get("UpgradeInProgress") == "False/NoPendingCluster"
        )

    def wait(self, what: str, holds: Any) -> Object:
        """Wait until the RayService is as wanted, and recorded so; returns it."""
        last: Object = {}

        def look() -> bool:
            last.clear()
            last.update(self.now)
            return "status" in last and bool(holds(last)) and self.recorded.has(last)

        try:
            wait_for(what, look, SECONDS, every=0.2)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it is {json.dumps(last)[-1500:]}") from error
        return last

    def eventually(self, what: str, holds: Any) -> None:
        """Wait until something else than the RayService is as wanted."""
        wait_for(what, holds, SECONDS, every=0.2)
