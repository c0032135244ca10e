"""A pod template in the form in which Go writes it, and so KubeRay.

KubeRay reads a RayService into Go's types and writes it whole when it adds its finalizer: what
these types leave out is gone then, what they never leave out is there, and a quantity has its
canonical spelling. Of a template rendered in that form the finalizer is all that KubeRay changes,
whatever a user's overlay has added. The types: ``k8s.io/api/core/v1/types.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.plan.quantity import canonical_quantity

# Left out when false, 0 or empty: what Go holds without a pointer.
_FLAGS = frozenset(
    {
        *("chapAuthDiscovery", "chapAuthSession", "hostIPC", "hostNetwork", "hostPID", "readOnly"),
        *("sslEnabled", "stdin", "stdinOnce", "tty"),
    }
)
_COUNTS = frozenset(
    {
        *("failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold"),
        *("timeoutSeconds", "hostPort", "partition"),
    }
)
_MAPS = frozenset(
    {
        *("annotations", "labels", "limits", "matchLabels", "nodeSelector", "options", "overhead"),
        *("requests", "userAnnotations", "volumeAttributes"),
    }
)
# Behind a pointer, or never left out: written as they are.
_TEXTS = frozenset(
    {
        *("apiGroup", "cachingMode", "gmsaCredentialSpec", "gmsaCredentialSpecName", "service"),
        *("hostnameOverride", "initiatorName", "localhostProfile", "runAsUserName", "type"),
        *("resourceClaimName", "resourceClaimTemplateName", "runtimeClassName"),
        *("storageClassName", "volumeAttributesClassName"),
    }
)
_LISTS = frozenset({"containers", "monitors", "nodeSelectorTerms", "sources"})
# And these, by the field or list that they stand in.
_POINTERS = frozenset(
    {
        *(("azureDisk", "fsType"), ("azureDisk", "readOnly"), ("csi", "fsType")),
        *(("csi", "readOnly"), ("httpHeaders", "value"), ("options", "value")),
        ("sysctls", "value"),
    }
)
_AMOUNTS = frozenset({"limits", "overhead", "requests"})
_AMOUNT = frozenset({"divisor", "sizeLimit"})


def in_go_form(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod template as Go writes it after reading it.

    What is no field of a pod, or of another type than it has there, stays as it is: the API server
    refuses it in words that name it.
    """
    written = _mapping(template, "template")
    written.setdefault("metadata", {})
    return written


def _mapping(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = {key: _value(inner, key) for key, inner in value.items()}
    written = {key: it for key, it in found.items() if not _is_left_out(it, key, name)}
    if name in ("containers", "initContainers"):
        written.setdefault("resources", {})
    return written


def _value(value: Any, name: str) -> Any:
    """Return the value of a field; the keys of a map are anybody's."""
    if name in _AMOUNTS and isinstance(value, Mapping):
        return {key: _amount(amount) for key, amount in value.items()}
    if name in _AMOUNT:
        return _amount(value)
    if isinstance(value, Mapping):
        return dict(value) if name in _MAPS else _mapping(value, name)
    if isinstance(value, list):
        return [_mapping(it, name) if isinstance(it, Mapping) else it for it in value]
    return value


def _is_left_out(value: Any, name: str, parent: str) -> bool:
    if (parent, name) in _POINTERS:
        return False
    if value is False:
        return name in _FLAGS
    if value == 0 and isinstance(value, int):
        return name in _COUNTS
    if value == "":
        return name not in _TEXTS
    if value == []:
        return name not in _LISTS
    return value == {} and name in _MAPS


def _amount(value: Any) -> Any:
    try:
        return canonical_quantity(value)
    except (TypeError, ValueError):
        return value
