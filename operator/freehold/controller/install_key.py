"""Secrets that the operator makes without ever reading one: all are derived from one key.

The key of an installation is a file that only the operator mounts. What a model's Ray clusters and
its endpoint ask of their callers follows from it, so it is known again after a restart, and nobody
needs the right to read Secrets.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.api.names import MANAGED_BY, MANAGED_BY_LABEL, child_labels
from freehold.errors import MachineUnfit
from freehold.kube.client import KubeClient
from freehold.kube.errors import AlreadyExists
from freehold.kube.resources import SECRETS
from freehold.render.api_keys import PROBE_KEY, token_secret_name
from freehold.render.revision import owner_reference

_LEAST_BYTES = 32
_LOOK_S = 1.0
# Name of the key in its Secret, and so of the file.
INSTALL_KEY = "install-key"
# KubeRay's name for the entry.
_ENTRY = "auth_token"
# Name of a generated key in its Secret.
API_KEY = "api-key"
# By which people and scanners know a key that leaked for what it is.
_KEY_PREFIX = "fh-"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class InstallKey:
    """The key of an installation; never shown, not even in a traceback.

    What follows from it is HMAC-SHA256 of what it is for and of whom, in hexadecimal.
    """

    key: bytes

    def ray_token(self, model_uid: str) -> str:
        """Return the token of a model's Ray clusters."""
        return self._derived(f"ray-token/{model_uid}")

    def probe_key(self, model_uid: str) -> str:
        """Return the key with which the operator asks a model's endpoint."""
        return _KEY_PREFIX + self._derived(f"probe-key/{model_uid}")

    def api_key(self, name: str, namespace: str) -> str:
        """Return the key that is made for a model whose user names none.

        It follows from the name and not from the uid: a model that is made again under its name
        is asked with the key that its clients have.
        """
        return _KEY_PREFIX + self._derived(f"api-key/{namespace}/{name}")

    def token_secret(self, name: str, namespace: str, model_uid: str) -> dict[str, Any]:
        """Return the Secret from which a model's pods and KubeRay have token and probe key."""
        metadata = {
            "name": token_secret_name(name, model_uid),
            "namespace": namespace,
            "labels": child_labels(name),
            "ownerReferences": [owner_reference(name, model_uid)],
        }
        data = {_ENTRY: self.ray_token(model_uid), PROBE_KEY: self.probe_key(model_uid)}
        return _secret(metadata, data, immutable=True)

    def api_key_secret(self, secret: str, name: str, namespace: str) -> dict[str, Any]:
        """Return the Secret with the key that is made for a model.

        No model owns it: were it made anew with the model, a key that was taken out of it since
        would open the endpoint again.
        """
        metadata = {"name": secret, "namespace": namespace, "labels": child_labels(name)}
        return _secret(metadata, {API_KEY: self.api_key(name, namespace)}, immutable=False)

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.key, purpose.encode(), hashlib.sha256).hexdigest()


async def wait_for_install_key(
    client: KubeClient, path: Path, secret: tuple[str, str] | None
) -> InstallKey:
    """Return the key of this installation, once the file with it is there.

    The Secret behind the file is made where it is missing: a chart that made it would make another
    one whenever it is rendered without a cluster to look into. The kubelet mounts it within a
    minute or two.

    Args:
        client: The API server.
        path: The file.
        secret: Namespace and name of the Secret that is mounted there; None to make none.

    Raises:
        MachineUnfit: The file is not there and nobody makes it, or holds no key.
        KubeError: The Secret cannot be made.
    """
    if secret is not None and not path.exists():
        with contextlib.suppress(AlreadyExists):
            await client.create(SECRETS, _fresh(*secret))
        _log.info("waiting for the Secret %s/%s to be mounted at %s", *secret, path)
        while not path.exists():
            await asyncio.sleep(_LOOK_S)
    return read_install_key(path)


def read_install_key(path: Path) -> InstallKey:
    """Return the key that a file holds.

    Raises:
        MachineUnfit: It cannot be read, or is too short to be one.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise MachineUnfit(
            f"the install key {path} cannot be read ({error.strerror}); mount the Secret with it, "
            f"or make one: head -c {_LEAST_BYTES} /dev/urandom > {path}"
        ) from error
    if len(key) < _LEAST_BYTES:
        raise MachineUnfit(
            f"the install key {path} has {len(key)} bytes; it needs {_LEAST_BYTES} or more"
        )
    return InstallKey(key)


def _fresh(namespace: str, name: str) -> dict[str, Any]:
    """Return a Secret with a key that nobody knows."""
    labels = {MANAGED_BY_LABEL: MANAGED_BY}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return _secret(metadata, {INSTALL_KEY: secrets.token_hex(_LEAST_BYTES)}, immutable=True)


def _secret(metadata: dict[str, Any], data: dict[str, str], *, immutable: bool) -> dict[str, Any]:
    fixed = {"immutable": True} if immutable else {}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **fixed, "stringData": data}
