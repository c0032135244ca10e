"""What the API server may answer instead of an object.

    KubeError
    ├── NotFound         the object is not there
    ├── KindMissing      the kind itself is not installed (a CRD is missing)
    ├── AlreadyExists    a create found an object of that name
    ├── Conflict         another writer was first, or the object is not the one that was meant
    ├── Denied           no right, or an admission policy said no: an administrator must act
    ├── Invalid          the object is refused as it stands: a retry cannot help
    ├── NotLeading       this process does not hold the lease: nothing was sent
    └── Transient        throttled, unreachable, overloaded, broken answer: try again later

Every one has a sentence that can go into a condition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """A request that was not answered with what it asked for.

    Attributes:
        status: HTTP status, 0 where there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFound(KubeError):
    """The object is not there."""


class KindMissing(KubeError):
    """The API server does not know the kind: its CRD is not installed."""


class AlreadyExists(KubeError):
    """An object of that name is there already."""


class Conflict(KubeError):
    """The object changed meanwhile, or is another one than was meant."""


class Denied(KubeError):
    """The operator may not do this."""


class Invalid(KubeError):
    """The API server refuses the object as it stands."""


class NotLeading(KubeError):
    """Another process leads; the request was not sent."""


class Transient(KubeError):
    """Worth another try.

    Attributes:
        retry_after: Seconds the server asks to wait, 0 where it does not say.
    """

    def __init__(self, message: str, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message, status)
        self.retry_after = retry_after


_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}


def error_of(status: int, body: bytes, retry_after: str | None = None) -> KubeError:
    """Return the error that an answer means.

    Args:
        status: HTTP status, 300 or more.
        body: What the server sent: a ``Status`` object, or whatever stood in between.
        retry_after: The header of that name.
    """
    told = _status_object(body)
    message = str(told.get("message") or f"the API server answered {status}")
    if status == 404:
        return _missing(told, message)
    if status == 409 and told.get("reason") == "AlreadyExists":
        return AlreadyExists(message, status)
    known = _BY_STATUS.get(status)
    if known is not None:
        return known(message, status)
    return Transient(message, status, _seconds(retry_after))


def _missing(told: Mapping[str, Any], message: str) -> KubeError:
    """Tell a missing object from a missing kind: only an object has a name to miss."""
    details = told.get("details")
    named = isinstance(details, Mapping) and details.get("name")
    return NotFound(message, 404) if named else KindMissing(message, 404)


def _status_object(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _seconds(retry_after: str | None) -> float:
    """Return the header's seconds; a date, which API servers do not send, counts as none."""
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0
