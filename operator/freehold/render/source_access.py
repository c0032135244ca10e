"""What a pod needs to read a model's source: a volume, credentials, an account.

The same for the workers and for whatever else reads the source on a tenant's behalf. Credentials
are references to a Secret, never values.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from freehold.api.modeldeployment import ModelDeployment
from freehold.render.weights_location import CLAIM_ROOT, weights_location

_WEIGHTS = "weights"
_KEY_VOLUME = "source-key"
_KEY_FOLDER = "/var/run/secrets/freehold.dev/source"
# The key of a Secret that holds what Google's libraries read from a file.
GOOGLE_KEY = "credentials.json"
HUB_KEY = "HF_TOKEN"
# By this label Azure's webhook gives a pod the token of its account.
_AZURE_IDENTITY = {"azure.workload.identity/use": "true"}


@dataclass(frozen=True, slots=True)
class SourceAccess:
    """What is added to a pod and to the container in it that reads the source.

    Attributes:
        env: Variables of the container.
        env_from: Secrets whose keys are variables of the container.
        volumes: Volumes of the pod.
        mounts: Mounts of the container, all read-only.
        labels: Labels of the pod.
        pod: Further fields of the pod's spec.
    """

    env: tuple[dict[str, Any], ...] = ()
    env_from: tuple[dict[str, Any], ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()
    mounts: tuple[dict[str, Any], ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    pod: dict[str, Any] = field(default_factory=dict)


def source_access(model: ModelDeployment) -> SourceAccess:
    """Return what the pods that read a model's source need."""
    source = model.spec.model.source
    scheme = urlsplit(source).scheme
    volume = _volume(source)
    account = model.spec.service_account_name
    credentials = model.spec.model.credentials
    found = SourceAccess(
        volumes=({"name": _WEIGHTS, **volume},) if volume else (),
        mounts=(_mount(source),) if volume else (),
        labels=dict(_AZURE_IDENTITY) if scheme == "abfss" and account and not credentials else {},
        pod={"serviceAccountName": account} if account else {},
    )
    return _with_secret(found, scheme, credentials.secret_ref.name) if credentials else found


def _volume(source: str) -> dict[str, Any] | None:
    url = urlsplit(source)
    match url.scheme:
        case "pvc":
            return {"persistentVolumeClaim": {"claimName": url.netloc, "readOnly": True}}
        case "file":
            return {"hostPath": {"path": weights_location(source), "type": "Directory"}}
        case "oci":
            return {"image": {"reference": source.removeprefix("oci://")}}
    return None


def _mount(source: str) -> dict[str, Any]:
    """Return where ``weights_location`` expects the volume."""
    url = urlsplit(source)
    path = f"{CLAIM_ROOT}/{url.netloc}" if url.scheme == "pvc" else weights_location(source)
    return {"name": _WEIGHTS, "mountPath": path, "readOnly": True}


def _with_secret(access: SourceAccess, scheme: str, secret: str) -> SourceAccess:
    """Add the Secret the way in which the source's readers look for it.

    A hub needs its token alone; a registry's key is the kubelet's business; Google's libraries read
    a file; the others' keys, sessions and endpoints are variables.
    """
    match scheme:
        case "hf":
            reference = {"name": secret, "key": HUB_KEY, "optional": False}
            token = {"name": HUB_KEY, "valueFrom": {"secretKeyRef": reference}}
            return replace(access, env=(token,))
        case "oci":
            return replace(access, pod={**access.pod, "imagePullSecrets": [{"name": secret}]})
        case "gs":
            return _with_file(access, secret)
    return replace(access, env_from=({"secretRef": {"name": secret, "optional": False}},))


def _with_file(access: SourceAccess, secret: str) -> SourceAccess:
    items = [{"key": GOOGLE_KEY, "path": GOOGLE_KEY}]
    volume = {"name": _KEY_VOLUME, "secret": {"secretName": secret, "items": items}}
    mount = {"name": _KEY_VOLUME, "mountPath": _KEY_FOLDER, "readOnly": True}
    file = {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"{_KEY_FOLDER}/{GOOGLE_KEY}"}
    return replace(
        access, env=(file,), volumes=(*access.volumes, volume), mounts=(*access.mounts, mount)
    )
