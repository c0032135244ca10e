"""The files of a model in a bucket: Amazon's or any other S3, Google's, Azure's.

Everything goes through the ``obstore`` library, which finds credentials where the clouds' own
libraries do: in variables, in the token of a pod's service account, with the metadata server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from freehold.api.faults import Cause, Fault

BUCKETS = ("s3", "gs", "abfss")
BUCKET_ERRORS = (BaseError, OSError)

_SOURCE = "spec.model.source"
_ANONYMOUS = "anonymous@"
# Variables that name another S3 server; one on this machine or in the cluster may speak HTTP.
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_SECONDS = "20s"
_RETRIES = {"max_retries": 2}
# What servers answer to a key that is wrong, or that may not read.
_DENIED = ("401 Unauthorized", "403 Forbidden", "AccessDenied", "InvalidAccessKeyId")
_ABSENT = ("404 Not Found", "NoSuchBucket", "NoSuchKey")


@dataclass(frozen=True, slots=True)
class BucketFiles:
    """The objects below a bucket's URL."""

    store: Any = field(repr=False)

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every object by its name."""
        found = obstore.list_with_delimiter(self.store)["objects"]
        return {item["path"].rpartition("/")[2]: item["size"] for item in found}

    def read(self, name: str, length: int) -> bytes:
        """Return bytes from an object's beginning."""
        return bytes(obstore.get_range(self.store, name, start=0, length=length)) if length else b""


def bucket_files(url: str) -> BucketFiles:
    """Return the objects below a URL as ``weights_location`` writes it.

    Raises:
        BaseError: The URL or the credentials in the environment cannot be understood.
    """
    scheme, _, place = url.partition("://")
    options: dict[str, Any] = {"client_options": {"timeout": _SECONDS}, "retry_config": _RETRIES}
    if scheme == "s3":
        endpoint = next((os.environ[it] for it in _ENDPOINTS if os.environ.get(it)), None)
        if endpoint is not None:
            options["endpoint"] = endpoint
            options["client_options"]["allow_http"] = endpoint.startswith("http://")
    if place.startswith(_ANONYMOUS) and scheme != "abfss":
        place, options["skip_signature"] = place.removeprefix(_ANONYMOUS), True
    return BucketFiles(from_url(f"{scheme}://{place.rstrip('/')}", **options))


def bucket_fault(url: str, error: Exception) -> Fault:
    """Return what an error of a bucket means for whoever wrote the manifest."""
    words = " ".join(str(error).split())
    if any(it in words for it in _DENIED):
        allowed = "a bucket that these credentials, or the service account, may list and read"
        return Fault(_SOURCE, f"{url} refuses to be read", allowed, cause=Cause.ACCESS)
    if isinstance(error, FileNotFoundError) or any(it in words for it in _ABSENT):
        return Fault(_SOURCE, f"{url}, which is not there", "a folder of a bucket with a model")
    found = f"{url} cannot be read ({words[:200]})"
    return Fault(_SOURCE, found, "a bucket that answers", cause=Cause.UNREACHABLE)
