"""The pod that reads a model's source for a rollout: in the model's namespace, with its account.

It runs ``freehold describe`` and leaves the answer in its termination message. It has what the
workers have to reach the source and no right on the cluster: no token is mounted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import DESCRIBE_TASK, TASK_LABEL, child_labels
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.canonical import digest
from freehold.render.node_choice import plain_terms
from freehold.render.pod_template import WORKER_CONTAINER
from freehold.render.revision import owner_reference
from freehold.render.source_access import source_access

MESSAGE_FILE = "/dev/termination-log"
_CONTAINER = "describe"
_SCRATCH = "/tmp"
_HASH_DIGITS = 8
# Counted from when a kubelet takes the pod; reading takes seconds, pulling the image may not.
_DEADLINE_S = 600
_RESOURCES = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
}
_POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
# Variables of the workers by which a source is reached; others are the engine's.
_OF_THE_SOURCE = re.compile(
    r"(HF|AWS|GOOGLE|AZURE)_\w+|(HTTPS?|NO|ALL)_PROXY|(https?|no|all)_proxy|SSL_CERT_FILE"
)


def describe_pod(
    model: ModelDeployment,
    namespace: str,
    owner_uid: str,
    image: str,
    classes: Mapping[str, AcceleratorClass],
    *,
    pin_only: bool,
) -> dict[str, Any]:
    """Return the pod; another question has another name.

    Args:
        model: The model.
        namespace: Its namespace.
        owner_uid: The ModelDeployment's uid.
        image: The operator's own image.
        classes: The accelerator classes that there are.
        pin_only: Whether the model's shape is known and only its commit or digest is asked for.
    """
    access = source_access(model)
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": _DEADLINE_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **access.pod,
        **_placement(model, classes),
        "securityContext": dict(_POD_SECURITY),
        "containers": [_container(model, image, pin_only)],
        "volumes": [*access.volumes, {"name": "scratch", "emptyDir": {"sizeLimit": "256Mi"}}],
    }
    labels = {**child_labels(model.name), TASK_LABEL: DESCRIBE_TASK, **access.labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{model.name}-describe-{digest([owner_uid, labels, spec], _HASH_DIGITS)}",
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(model.name, owner_uid)],
        },
        "spec": spec,
    }


def _container(model: ModelDeployment, image: str, pin_only: bool) -> dict[str, Any]:
    access, source = source_access(model), model.spec.model
    arguments = ["describe", source.source, f"--output={MESSAGE_FILE}"]
    arguments += [f"--revision={source.revision}"] if source.revision else []
    arguments += ["--pin-only"] if pin_only else []
    home = [{"name": name, "value": _SCRATCH} for name in ("HOME", "HF_HOME")]
    given = {it["name"] for it in (*home, *access.env)}
    ours = [it for it in _environment(model) if it["name"] not in given]
    return {
        "name": _CONTAINER,
        "image": image,
        "args": arguments,
        "env": [*home, *ours, *access.env],
        "envFrom": list(access.env_from),
        "resources": _RESOURCES,
        "securityContext": dict(_SECURITY),
        "terminationMessagePath": MESSAGE_FILE,
        "terminationMessagePolicy": "File",
        "volumeMounts": [*access.mounts, {"name": "scratch", "mountPath": _SCRATCH}],
    }


def _environment(model: ModelDeployment) -> Iterable[dict[str, Any]]:
    """Yield the variables of the workers' overlay by which a source is reached."""
    templates = model.spec.templates
    worker: Any = (templates.worker if templates else None) or {}
    spec = worker.get("spec") if isinstance(worker, Mapping) else None
    for container in _mappings(spec, "containers"):
        if container.get("name") == WORKER_CONTAINER:
            for entry in _mappings(container, "env"):
                if _OF_THE_SOURCE.fullmatch(str(entry.get("name"))):
                    yield dict(entry)


def _mappings(value: Any, name: str) -> list[Mapping[str, Any]]:
    """Return the mappings in a list of a user's; what is of another shape is told by others."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return [it for it in found if isinstance(it, Mapping)] if isinstance(found, list) else []


def _placement(model: ModelDeployment, classes: Mapping[str, AcceleratorClass]) -> dict[str, Any]:
    """Return what brings the pod to where a source lies that is on the nodes themselves.

    These are the candidates' nodes, whatever taints they have; any node where there are none.
    """
    if not model.spec.model.source.startswith("file://"):
        return {}
    placement: dict[str, Any] = {"tolerations": [{"operator": "Exists"}]}
    hardware = model.spec.hardware
    names = {it.accelerator for it in hardware.candidates} if hardware else set()
    found = [resolve_class(name, classes, "") for name in sorted(names)]
    shapes = [shape for it in found if isinstance(it, Accelerator) for shape in it.shapes]
    terms = [term for shape in shapes for term in plain_terms(shape)]
    if terms and all(terms):
        alternatives = [{"matchExpressions": term} for term in terms]
        required = {"nodeSelectorTerms": alternatives}
        affinity = {"requiredDuringSchedulingIgnoredDuringExecution": required}
        placement["affinity"] = {"nodeAffinity": affinity}
    return placement
