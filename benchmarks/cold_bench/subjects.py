"""The ways that are compared, and each of them as it is applied to a cluster."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from benchmarks.cold_bench.asking import Endpoint
from benchmarks.cold_bench.objects import (
    PORT,
    VLLM_LABELS,
    Object,
    freehold_model,
    plain_ray_service,
    served_name,
    vllm_server,
)
from benchmarks.cold_bench.results import FREEHOLD, PLAIN, VLLM
from benchmarks.cold_bench.watched import OF_A_RAY_SERVICE, OF_FREEHOLD, OF_VLLM
from tests.control_plane.cluster import Cluster, holds
from tests.control_plane.plain_api import RequestFailed
from tests.control_plane.processes import wait_for
from tests.integration.operator import condition

from freehold.api.faults import Fault
from freehold.cli.render import render_objects
from freehold.manifest_files import plan_all, read_valid

_GONE_SECONDS = 300.0
_RAY_WORKERS = {"ray.io/node-type": "worker"}


@dataclass(frozen=True)
class Subject:
    """A way to serve the model.

    Attributes:
        way: Which; one of ``results.WAYS``.
        kind: Kind of the object that a user applies, as kubectl knows it.
        name: The object's name.
        model: Served name.
        service: Name of the Service at which it answers.
        workers: Labels of the pods with an engine.
        parts: Parts of its start that can be seen.
        objects: Returns what is applied, for so many least replicas.
        secret: Name of the Secret with its key; "" where it asks for none.
        rests: Whether an object of that kind says that it is up at zero replicas.
        by_hand: Whether somebody has to scale it up from zero.
    """

    way: str
    kind: str
    name: str
    model: str
    service: str
    workers: dict[str, str]
    parts: frozenset[str]
    objects: Callable[[int], list[Object]]
    rests: Callable[[Object], bool]
    secret: str = ""
    by_hand: bool = False


def subjects(manifest: Path, classes: Path) -> list[Subject]:
    """Return the three ways to serve a manifest's model.

    Args:
        manifest: A ModelDeployment, whose weights this machine has.
        classes: Accelerator classes that it needs.
    """
    rendered, given = _rendered(manifest, classes), yaml.safe_load(manifest.read_text())
    name = rendered["metadata"]["name"]
    common = partial(Subject, name=name, model=served_name(rendered))
    freehold = common(
        way=FREEHOLD,
        kind="fmd",
        service=name,
        secret=f"{name}-api-key",
        workers=_RAY_WORKERS,
        parts=OF_FREEHOLD,
        objects=lambda least: [freehold_model(given, least)],
        rests=partial(_ready, reason="ScaledToZero"),
    )
    plain = common(
        way=PLAIN,
        kind="rayservice",
        service=f"{name}-serve-svc",
        workers=_RAY_WORKERS,
        parts=OF_A_RAY_SERVICE,
        objects=lambda least: [plain_ray_service(rendered, least)],
        rests=_ready,
    )
    vllm = common(
        way=VLLM,
        kind="deployment",
        service=name,
        workers=VLLM_LABELS,
        parts=OF_VLLM,
        objects=lambda least: vllm_server(rendered, least),
        rests=_observed,
        by_hand=True,
    )
    return [freehold, plain, vllm]


def _rendered(manifest: Path, classes: Path) -> Object:
    """Return the RayService that Freehold renders."""
    ((_, planned),) = plan_all(read_valid([str(classes), str(manifest)]), offline=True)
    objects = render_objects(planned)
    assert not isinstance(objects, Fault), str(objects)
    (found,) = (it for it in objects if it["kind"] == "RayService")
    return found


def _ready(item: Object, reason: str = "") -> bool:
    return holds(item, "Ready") and reason in ("", condition(item, "Ready").get("reason"))


def _observed(item: Object) -> bool:
    status = item.get("status") or {}
    return status.get("observedGeneration") == item["metadata"]["generation"]


@dataclass
class Deployed:
    """A subject in a namespace of its own; :meth:`ready_for` makes it.

    Attributes:
        cluster: The cluster.
        subject: The way.
    """

    cluster: Cluster
    subject: Subject
    _endpoint: Endpoint | None = None

    @classmethod
    @contextmanager
    def ready_for(cls, cluster: Cluster, subject: Subject) -> Iterator[Deployed]:
        """Make the namespace; at the end all in it is gone."""
        found = cls(cluster, subject)
        cluster.kubectl("create", "namespace", found.namespace)
        account = partial(cluster.get, "serviceaccount", "default", found.namespace)
        wait_for("pods are admitted", account, _GONE_SECONDS)
        try:
            yield found
        finally:
            found._delete()

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return f"cold-{self.subject.way}"

    def apply(self, least: int) -> None:
        """Apply it with so many least replicas."""
        self.cluster.apply(*self.subject.objects(least), namespace=self.namespace)

    def scale_up(self) -> None:
        """Do what a person has to do so that it leaves zero."""
        if self.subject.by_hand:
            what = f"{self.subject.kind}/{self.subject.name}"
            self.cluster.kubectl(f"--namespace={self.namespace}", "scale", what, "--replicas=1")

    def pods(self) -> list[Object]:
        """Return its pods."""
        return self.cluster.list("pods", self.namespace)

    def uids(self) -> list[str]:
        """Return the uids of those."""
        return [it["metadata"]["uid"] for it in self.pods()]

    def ray_service(self) -> Object | None:
        """Return its RayService, if it has one."""
        return self.cluster.get("rayservice", self.subject.name, self.namespace)

    def at_zero(self) -> bool:
        """Whether it is up, and no pod with an engine is there."""
        found = self.cluster.get(self.subject.kind, self.subject.name, self.namespace)
        if found is None or not self.subject.rests(found):
            return False
        labels = (it["metadata"].get("labels") or {} for it in self.pods())
        return not any(self.subject.workers.items() <= it.items() for it in labels)

    def endpoint(self) -> Endpoint | None:
        """Return where it answers; None as long as it has no address or no key.

        It is asked again and again, and an API server that is too busy to tell is asked later.
        """
        if self._endpoint is None:
            try:
                self._endpoint = self._found()
            except RequestFailed:
                return None
        return self._endpoint

    def _found(self) -> Endpoint | None:
        subject = self.subject
        service = self.cluster.get("service", subject.service, self.namespace)
        key: str | None = self._key() if subject.secret else ""
        if service is None or key is None:
            return None
        return Endpoint(service["spec"]["clusterIP"], PORT, subject.model, key)

    def _key(self) -> str | None:
        secret = self.cluster.get("secret", self.subject.secret, self.namespace)
        return base64.b64decode(secret["data"]["api-key"]).decode() if secret else None

    def _delete(self) -> None:
        kind, name, namespace = self.subject.kind, self.subject.name, self.namespace
        where = f"--namespace={namespace}"
        self.cluster.kubectl(where, "delete", kind, name, "--wait=false", "--ignore-not-found")
        gone = partial(self.cluster.get, kind, name, namespace)
        wait_for(f"{kind}/{name} is gone", lambda: gone() is None, _GONE_SECONDS)
        self.cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        rest = partial(self.cluster.get, "namespace", namespace)
        wait_for(f"{namespace} is gone", lambda: rest() is None, _GONE_SECONDS)

    def told(self) -> str:
        """Return what there is of it and what happened, for an error."""
        where = f"--namespace={self.namespace}"
        seen = self.cluster.kubectl(where, "get", "all,events", "--sort-by=.metadata.name")
        return f"{self.subject.way}:\n{seen}"
