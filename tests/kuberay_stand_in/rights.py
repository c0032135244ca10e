"""What Ray's autoscaler may do to its own cluster: an account, a role, and what binds them."""

from __future__ import annotations

from typing import Any

from tests.kuberay_stand_in.api import ROLE, ROLE_BINDING, SERVICE_ACCOUNT, Kind, Object
from tests.kuberay_stand_in.pod_parts import account_of

_RULES = (
    ("", "pods", ("get", "list", "watch", "patch")),
    ("", "pods/resize", ("patch",)),
    ("ray.io", "rayclusters", ("get", "patch")),
)


def rights(cluster: Object) -> list[tuple[Kind, Object]]:
    """Return the objects that a cluster with an autoscaler needs, but for their owner.

    An account that the head's template names is the user's to make.
    """
    name, account = cluster["metadata"]["name"], account_of(cluster)
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for group, resource, verbs in _RULES
    ]
    subject = {
        "kind": "ServiceAccount",
        "name": account,
        "namespace": cluster["metadata"]["namespace"],
    }
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    found = [
        (ROLE, _object(cluster, rules=rules)),
        (ROLE_BINDING, _object(cluster, subjects=[subject], roleRef=role)),
    ]
    return [*([(SERVICE_ACCOUNT, _object(cluster))] if account == name else []), *found]


def _object(cluster: Object, **parts: Any) -> Object:
    name = cluster["metadata"]["name"]
    labels = {
        "app.kubernetes.io/created-by": "kuberay-operator",
        "app.kubernetes.io/name": "kuberay",
        "ray.io/cluster": name,
    }
    metadata = {"name": name, "namespace": cluster["metadata"]["namespace"], "labels": labels}
    return {"metadata": metadata, **parts}
