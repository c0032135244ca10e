"""What a pod tells of a source that it has read for a tenant, and how that is taken.

It is JSON in the pod's termination message, of which Kubernetes keeps 4096 bytes. Whoever may write
pods of the namespace may write it too: what is read here is trusted no more than a manifest.

    version   1
    model     the model's shape, as spec.model.architecture has it; absent where nobody asked
    commit    of a hub
    digest    of any other source's files
    files     lines of a file's name and its digest's first digits, compressed, in base64; absent
              where they are too many
    faults    instead of all that: path, found, allowed, hint and cause of each
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from freehold.api.architecture import ModelDescription, StatedModel
from freehold.api.faults import Cause, Fault
from freehold.render.source_pin import UNPINNED, SourcePin

MOST_BYTES = 4096
_VERSION = 1
_KEYS = frozenset({"version", "model", "commit", "digest", "files", "faults"})
_FAULT_KEYS = ("path", "found", "allowed", "hint", "cause")
_PATHS = ("spec.model.source", "spec.model.revision")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FILE = re.compile(r"([^\x00-\x20\x7f/]{1,255}) ([0-9a-f]{8})")
# What is wrong with the manifest itself is not for a pod to say.
_CAUSES = {it.name: it for it in (Cause.MODEL, Cause.ACCESS, Cause.UNREACHABLE)}
_MOST_FILES_BYTES = 1 << 20
_MOST_FAULTS = 8
_MOST_WORDS = 400


class NotTold(ValueError):
    """What a pod left behind says nothing that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was found at a source.

    Attributes:
        model: The model's shape; None where nobody asked for it.
        pin: What the source was.
        faults: Why nothing could be told; nothing else then.
    """

    model: ModelDescription | None = None
    pin: SourcePin = UNPINNED
    faults: tuple[Fault, ...] = ()


def tell(told: Told) -> str:
    """Return what a pod tells, within what Kubernetes keeps of it."""
    text = _json(_data(told))
    if len(text.encode()) > MOST_BYTES:
        text = _json(_data(replace(told, pin=replace(told.pin, files={}))))
    return text


def read_told(text: str) -> Told:
    """Return what a pod told.

    Raises:
        NotTold: It is not what ``tell`` writes.
    """
    data = _object(text)
    if "faults" in data:
        return Told(faults=tuple(_faults(data["faults"])))
    pin = SourcePin(
        commit=_matching(data, "commit", _COMMIT),
        digest=_matching(data, "digest", _DIGEST),
        files=_files(data.get("files")),
    )
    return Told(_model(data.get("model")), pin)


def _data(told: Told) -> dict[str, Any]:
    if told.faults:
        faults = [_fault(it) for it in told.faults[:_MOST_FAULTS]]
        while len(_json({"version": _VERSION, "faults": faults}).encode()) > MOST_BYTES:
            faults.pop()
        return {"version": _VERSION, "faults": faults}
    data = {
        "version": _VERSION,
        "model": told.model.to_dict() if told.model else None,
        "commit": told.pin.commit,
        "digest": told.pin.digest,
        "files": _packed(told.pin.files) if told.pin.files else None,
    }
    return {name: value for name, value in data.items() if value is not None}


def _fault(fault: Fault) -> dict[str, str]:
    words = (fault.path, fault.found, fault.allowed, fault.hint, fault.cause.name)
    return {name: it[:_MOST_WORDS] for name, it in zip(_FAULT_KEYS, words, strict=True)}


def _json(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), sort_keys=True)


def _packed(files: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {digits}\n" for name, digits in sorted(files.items()))
    return base64.b64encode(zlib.compress(lines.encode(), 9)).decode("ascii")


def _object(text: str) -> dict[str, Any]:
    if not text:
        raise NotTold("it left no message")
    if len(text.encode()) > MOST_BYTES:
        raise NotTold(f"its message has more than {MOST_BYTES} bytes")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise NotTold("its message is no JSON") from None
    if not isinstance(data, dict) or data.get("version") != _VERSION or not data.keys() <= _KEYS:
        raise NotTold("its message is of another form than this release's")
    return data


def _matching(data: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    value = data.get(name)
    if value is None or (isinstance(value, str) and pattern.fullmatch(value)):
        return value
    raise NotTold(f"its {name} is none")


def _files(packed: Any) -> dict[str, str]:
    if packed is None:
        return {}
    try:
        stream = zlib.decompressobj()
        text = stream.decompress(base64.b64decode(packed, validate=True), _MOST_FILES_BYTES)
        lines = text.decode().splitlines()
    except (TypeError, ValueError, binascii.Error, zlib.error):
        raise NotTold("its files cannot be read") from None
    found = [_FILE.fullmatch(line) for line in lines]
    if stream.unconsumed_tail or not all(found):
        raise NotTold("its files cannot be read")
    return {it[1]: it[2] for it in found if it}


def _model(data: Any) -> ModelDescription | None:
    """Return the shape, within the limits of one that a user writes."""
    if data is None:
        return None
    try:
        return StatedModel.model_validate_json(json.dumps(data))
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "too deep"
        raise NotTold(f"its model is none: {first[:_MOST_WORDS]}") from None


def _faults(data: Any) -> Iterable[Fault]:
    if not isinstance(data, list) or not 0 < len(data) <= _MOST_FAULTS:
        raise NotTold("its faults are no list of a few")
    for item in data:
        if not isinstance(item, dict) or set(item) != set(_FAULT_KEYS):
            raise NotTold("one of its faults is none")
        if not all(isinstance(it, str) and len(it) <= _MOST_WORDS for it in item.values()):
            raise NotTold("one of its faults is none")
        if item["path"] not in _PATHS or item["cause"] not in _CAUSES:
            raise NotTold("one of its faults is none")
        words = (item["path"], item["found"], item["allowed"], item["hint"])
        yield Fault(*words, cause=_CAUSES[item["cause"]])
