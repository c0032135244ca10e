"""The models of a namespace: what tests do with them, and what must hold of each in the end."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.integration.operator import (
    Operator,
    apply_model,
    condition,
    example,
    until,
    wait_for_condition,
)

from freehold.render.change import owned_differs

Object = dict[str, Any]
PASSES = 'freehold_pass_duration_seconds_count{outcome="done"}'
OF_RAY_SERVICE = "ray.io/originated-from-cr-name="


class Models:
    """The models of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def apply(self, name: str, **spec: Any) -> None:
        """Apply the example of a small model under another name."""
        manifest = example("llama-guard-3-8b", **spec)
        apply_model(self.cluster, self.namespace, manifest | {"metadata": {"name": name}})

    def wait(self, name: str, kind: str, status: str, reason: str = "") -> Object:
        """Wait for a condition and return it."""
        found = wait_for_condition(self.cluster, self.namespace, name, kind, status, reason=reason)
        return condition(found, kind)

    def get(self, name: str) -> Object:
        found = self.cluster.get("fmd", name, self.namespace)
        assert found is not None
        return found

    def children(self, name: str) -> list[Object]:
        kinds = "rayservice,service,configmap,controllerrevision"
        return self.cluster.list(kinds, self.namespace, of(name))

    def revisions(self, name: str) -> list[Object]:
        return self.cluster.list("controllerrevision", self.namespace, of(name))

    def ray_service(self, name: str) -> Object:
        found = self.cluster.get("rayservice", name, self.namespace)
        assert found is not None
        return found

    def token_secret(self, name: str) -> str:
        """Return the name of the Secret with the token of a model's Ray clusters."""
        return f"{name}-tokens-{self.get(name)['metadata']['uid'][:8]}"

    def token(self, name: str) -> Object:
        return self.cluster.get("secret", self.token_secret(name), self.namespace) or {}

    def pods(self, name: str, role: str) -> list[Object]:
        return self.cluster.list("pod", self.namespace, f"{of(name)},ray.io/node-type={role}")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def another_pass(self, operator: Operator, name: str) -> None:
        """Touch a model, and wait until it was looked at."""
        before = operator.metric(PASSES)
        self.kubectl("annotate", "fmd", name, f"look={before}", "--overwrite")
        until("another pass", lambda: operator.metric(PASSES) > before)

    def owned(self, name: str, *, history: bool = False) -> dict[str, Object]:
        """Return all that belongs to a model, by kind; fails where there are two of a kind.

        Args:
            name: The model.
            history: Whether there may be several revisions; one of them is returned.
        """
        uid = self.get(name)["metadata"]["uid"]
        found = [*self.children(name), self.token(name)]
        assert [owner_of(it) for it in found] == [uid] * len(found), [owner_of(it) for it in found]
        clusters = self.cluster.list("raycluster", self.namespace, OF_RAY_SERVICE + name)
        by_kind = {it["kind"]: it for it in [*found, *clusters]}
        names = [f"{it['kind']} {it['metadata']['name']}" for it in [*found, *clusters]]
        more = len(self.revisions(name)) - 1 if history else 0
        assert len(by_kind) == len(names) - more, names
        return by_kind

    def refused(self, name: str, reason: str) -> str:
        """Wait until a model is refused for a reason of its spec; return the message."""
        ready = self.wait(name, "Ready", "False", reason)
        assert self.wait(name, "Planned", "False", reason)["message"] == ready["message"]
        assert self.children(name) == []
        return str(ready["message"])


def assert_no_bug(operator: Operator) -> None:
    """Assert that no pass of an operator ended in an error that nobody foresaw; show the first."""
    _, found, rest = operator.server.text.partition("a bug in Freehold")
    if found:
        raise AssertionError(found + rest[:4000])


def of(name: str) -> str:
    """Return the selector of a model's children and pods."""
    return f"freehold.dev/model={name}"


def owner_of(child: Object) -> str:
    """Return the uid of an object's only owner."""
    (owner,) = child["metadata"]["ownerReferences"]
    return str(owner["uid"])


def assert_same_spec(one: Object, other: Object) -> None:
    """Assert that the RayServices of two models ask for the same, but for the tokens' Secrets.

    One that is suspended no more says so in words.
    """
    one, other = _with_any_tokens(one), _with_any_tokens(other)
    for wanted, found in ((one, other), (other, one)):
        spec = {name: it for name, it in wanted["spec"].items() if it is not False}
        differs = owned_differs({"spec": spec}, found)
        assert differs == [], differs


def _with_any_tokens(service: Object) -> Object:
    """Return a RayService in which the Secret with the tokens does not bear its model's uid."""
    named = f"{service['metadata']['name']}-tokens-"
    secret = f"{named}{owner_of(service)[:8]}"
    renamed: Object = json.loads(json.dumps(service).replace(secret, f"{named}any"))
    assert renamed != service, f"it does not name {secret}"
    return renamed


def without_server_fields(found: Object) -> Object:
    """Return an object as it might be applied again."""
    kept = ("name", "namespace", "labels", "ownerReferences")
    metadata = {key: found["metadata"][key] for key in kept}
    return {**copy.deepcopy(found), "metadata": metadata}
