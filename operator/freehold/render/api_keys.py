"""How a model's keys come into its pods, and the Secrets that they come from.

Pods mount Secrets as files, so that keys change without a restart and no value stands in an object
that more people may read than the Secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import generated_key_secret_name
from freehold.serving.api_keys import AUTHENTICATION, FOLDER, MOUNTED, NOT_ASKED

_VOLUME = "freehold-api-keys"
# In the Secret of a model's tokens: what the operator itself asks for tokens with.
PROBE_KEY = "probe-key"
# No entry of a Secret can have this name, so none of the user's takes the place of it.
_PROBE_FILE = "operator~probe-key"
_UID_DIGITS = 8


def token_secret_name(model_name: str, model_uid: str | None) -> str:
    """Return the Secret with what a model's clusters ask of KubeRay and of the operator.

    With a part of the uid in it: a model that was deleted and made again must not take the Secret
    of the former one, which follows that one within seconds, for its own.

    Args:
        model_name: The model's name.
        model_uid: Its uid; None for objects to look at.
    """
    name = f"{model_name}-tokens"
    return f"{name}-{model_uid[:_UID_DIGITS]}" if model_uid else name


def key_secret_name(model: ModelDeployment) -> str | None:
    """Return the Secret whose entries are a model's keys, or None for one that asks for none."""
    if not model.asks_for_key:
        return None
    return model.named_key_secret or generated_key_secret_name(model.name)


def with_api_keys(
    template: dict[str, Any], container_name: str, secret: str | None, token_secret: str
) -> dict[str, Any]:
    """Return a pod template whose container asks for keys, and has them.

    It comes on top of the user's overlay: what an engine asks of its clients is what
    ``spec.endpoint`` says.

    Args:
        template: The template.
        container_name: The container that runs Ray.
        secret: The Secret with the keys; None to ask for none.
        token_secret: The Secret with the operator's own key.
    """
    spec = template["spec"]
    containers = [
        _asking(item, secret is not None) if item.get("name") == container_name else item
        for item in spec["containers"]
    ]
    volumes = list(spec.get("volumes") or ())
    if secret is not None:
        volumes.append(_volume(secret, token_secret))
    return {**template, "spec": {**spec, "containers": containers, "volumes": volumes}}


def mounted_key_secret(ray_service: Mapping[str, Any]) -> str | None:
    """Return the Secret with keys that the workers of a RayService of ours mount; None for none."""
    (group,) = ray_service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    for volume in group["template"]["spec"]["volumes"]:
        if volume["name"] == _VOLUME:
            return str(volume["projected"]["sources"][0]["secret"]["name"])
    return None


def _asking(container: dict[str, Any], asks: bool) -> dict[str, Any]:
    said = {AUTHENTICATION: "APIKey", FOLDER: MOUNTED} if asks else {AUTHENTICATION: NOT_ASKED}
    own = [{"name": name, "value": value} for name, value in said.items()]
    given = container.get("env") or ()
    environment = [it for it in given if it["name"] not in (AUTHENTICATION, FOLDER)]
    mounts = list(container.get("volumeMounts") or ())
    if asks:
        mounts.append({"name": _VOLUME, "mountPath": MOUNTED, "readOnly": True})
    return {**container, "env": [*environment, *own], "volumeMounts": mounts}


def _volume(secret: str, token_secret: str) -> dict[str, Any]:
    """Return both Secrets as one folder; pods wait for them, and keep what they had of them."""
    own = {"name": token_secret, "items": [{"key": PROBE_KEY, "path": _PROBE_FILE}]}
    sources = [{"secret": {"name": secret}}, {"secret": own}]
    return {"name": _VOLUME, "projected": {"sources": sources}}
