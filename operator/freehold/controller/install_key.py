"""Secrets that the operator makes without ever reading one: all are derived from one key.

The key of an installation is a file that only the operator mounts. What a model's Ray clusters ask
of their callers follows from it and from the model's uid, so it is known again after a restart, and
nobody needs the right to read Secrets.
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
from freehold.render.ray_service import token_secret_name
from freehold.render.revision import owner_reference

_LEAST_BYTES = 32
_LOOK_S = 1.0
# Name of the key in its Secret, and so of the file.
INSTALL_KEY = "install-key"
# KubeRay's name for the entry.
_ENTRY = "auth_token"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class InstallKey:
    """The key of an installation; never shown, not even in a traceback."""

    key: bytes

    def ray_token(self, model_uid: str) -> str:
        """Return the token of a model's Ray clusters: HMAC-SHA256 of its uid, in hexadecimal."""
        return hmac.new(self.key, f"ray-token/{model_uid}".encode(), hashlib.sha256).hexdigest()

    def ray_token_secret(self, name: str, namespace: str, model_uid: str) -> dict[str, Any]:
        """Return the Secret from which a model's pods and KubeRay have the token."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": token_secret_name(name),
                "namespace": namespace,
                "labels": child_labels(name),
                "ownerReferences": [owner_reference(name, model_uid)],
            },
            "immutable": True,
            "stringData": {_ENTRY: self.ray_token(model_uid)},
        }


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
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        },
        "immutable": True,
        "stringData": {INSTALL_KEY: secrets.token_hex(_LEAST_BYTES)},
    }
