"""The code that runs inside Ray as an immutable ConfigMap, and how pods come by it.

The stock image has none of ours. The name carries the content's digest: a running model keeps the
archive it began with, since another pod template would build a second cluster.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from freehold.api.names import child_labels

_FILE = "serving.zip"
_FOLDER = "/opt/freehold"
_VOLUME = "freehold-serving"
_SEARCH_PATH = "PYTHONPATH"


def archive_digest(archive: bytes) -> str:
    """Return the SHA-256 of an archive, in hexadecimal."""
    return hashlib.sha256(archive).hexdigest()


def serving_config_map_name(model_name: str, archive: bytes) -> str:
    """Return the ConfigMap's name: at most 57 characters with a model's 40."""
    return f"{model_name}-serving-{archive_digest(archive)[:8]}"


def serving_config_map(model_name: str, namespace: str, archive: bytes) -> dict[str, Any]:
    """Return the ConfigMap that holds the archive."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": serving_config_map_name(model_name, archive),
            "namespace": namespace,
            "labels": child_labels(model_name),
        },
        "immutable": True,
        "binaryData": {_FILE: base64.b64encode(archive).decode("ascii")},
    }


def with_serving_code(
    template: dict[str, Any], container_name: str, config_map: str
) -> dict[str, Any]:
    """Return a pod template whose container finds our code before anything else.

    It comes on top of the user's overlay, so that a search path written there is kept behind ours
    instead of replacing it.

    Args:
        template: The template.
        container_name: The container that runs Ray.
        config_map: Name of the ConfigMap.
    """
    spec = template["spec"]
    containers = [
        _with_archive(item) if item.get("name") == container_name else item
        for item in spec["containers"]
    ]
    volume = {"name": _VOLUME, "configMap": {"name": config_map}}
    volumes = [*(spec.get("volumes") or ()), volume]
    return {**template, "spec": {**spec, "containers": containers, "volumes": volumes}}


def _with_archive(container: dict[str, Any]) -> dict[str, Any]:
    mount = {"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True}
    own = f"{_FOLDER}/{_FILE}"
    environment = []
    for entry in container.get("env") or ():
        if entry["name"] == _SEARCH_PATH:
            own = f"{own}:{entry['value']}" if entry.get("value") else own
        else:
            environment.append(entry)
    return {
        **container,
        "env": [*environment, {"name": _SEARCH_PATH, "value": own}],
        "volumeMounts": [*(container.get("volumeMounts") or ()), mount],
    }
