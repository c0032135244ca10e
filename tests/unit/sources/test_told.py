"""What a pod tells of a source: within 4096 bytes, and trusted no more than a manifest."""

from __future__ import annotations

import base64
import contextlib
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.api.faults import Cause, Fault
from freehold.catalog.builtin import builtin_catalog
from freehold.render.source_pin import SourcePin
from freehold.sources.told import MOST_BYTES, NotTold, Told, read_told, tell

DIGEST = f"sha256:{'ab' * 32}"
MODELS = [it.description for it in builtin_catalog().models.values()]


def shards(count: int) -> dict[str, str]:
    names = (f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1))
    return {name: f"{i * 2654435761 % 2**32:08x}" for i, name in enumerate(names)}


@pytest.mark.parametrize("model", MODELS, ids=lambda it: it.model_class)
def test_what_is_told_is_what_is_read(model: Any) -> None:
    told = Told(model, SourcePin(digest=DIGEST, files=shards(4)))
    assert read_told(tell(told)).pin == told.pin
    found = read_told(tell(told)).model
    assert found is not None
    assert found.to_dict() == model.to_dict()
    assert read_told(tell(Told(pin=SourcePin("0" * 40)))) == Told(pin=SourcePin("0" * 40))


def test_the_largest_checkpoints_are_told_file_by_file() -> None:
    """Of Llama 3.1 405B in 191 files each one's digits fit."""
    told = Told(
        max(MODELS, key=lambda it: len(tell(Told(it)))), SourcePin(None, DIGEST, shards(191))
    )
    assert len(tell(told).encode()) <= MOST_BYTES
    assert read_told(tell(told)).pin.files == told.pin.files


def test_where_the_files_are_too_many_the_digest_alone_is_told() -> None:
    text = tell(Told(MODELS[0], SourcePin(None, DIGEST, shards(2000))))
    assert len(text.encode()) <= MOST_BYTES
    assert read_told(text).pin == SourcePin(None, DIGEST)


def test_faults_are_told_with_their_causes_within_the_limit() -> None:
    faults = [Fault("spec.model.source", "é" * 900, "b", cause=Cause.ACCESS)] * 20
    text = tell(Told(faults=tuple(faults)))
    assert len(text.encode()) <= MOST_BYTES
    found = read_told(text).faults
    assert found
    assert {(it.path, it.found, it.cause) for it in found} == {
        ("spec.model.source", "é" * 400, Cause.ACCESS)
    }


def packed(text: bytes) -> str:
    return base64.b64encode(zlib.compress(text)).decode()


FAULT = {"path": "spec.model.source", "found": "a", "allowed": "b", "hint": "", "cause": "MODEL"}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("", "it left no message"),
        ("x" * 4097, "more than 4096 bytes"),
        ("error: no such option", "is no JSON"),
        ("[" * 4000, "is no JSON"),
        ("[]", "of another form"),
        ("{}", "of another form"),
        ({"version": 2}, "of another form"),
        ({"version": 1, "image": "x"}, "of another form"),
        ({"version": 1, "commit": "main"}, "its commit is none"),
        ({"version": 1, "commit": ["0" * 40]}, "its commit is none"),
        ({"version": 1, "digest": "sha256:" + "0" * 63}, "its digest is none"),
        ({"version": 1, "files": "!"}, "its files cannot be read"),
        ({"version": 1, "files": 3}, "its files cannot be read"),
        ({"version": 1, "files": packed(b"a b\n")}, "its files cannot be read"),
        ({"version": 1, "files": packed(b"\xff")}, "its files cannot be read"),
        ({"version": 1, "files": packed(b"../../etc/passwd 01234567\n")}, "its files cannot"),
        ({"version": 1, "files": packed(b"a.json 01234567\n" * 70_000)}, "its files cannot"),
        ({"version": 1, "model": {}}, "its model is none: Field required"),
        ({"version": 1, "model": "llama"}, "its model is none"),
        ({"version": 1, "faults": []}, "its faults are no list of a few"),
        ({"version": 1, "faults": [FAULT] * 9}, "its faults are no list of a few"),
        ({"version": 1, "faults": [{}]}, "one of its faults is none"),
        ({"version": 1, "faults": [FAULT | {"cause": "x"}]}, "one of its faults is none"),
        ({"version": 1, "faults": [FAULT | {"cause": "VALUE"}]}, "one of its faults is none"),
        ({"version": 1, "faults": [FAULT | {"path": "spec.templates"}]}, "one of its faults"),
        ({"version": 1, "faults": [FAULT | {"found": "x" * 401}]}, "one of its faults is none"),
        ({"version": 1, "faults": [FAULT | {"hint": 1}]}, "one of its faults is none"),
    ],
)
def test_what_is_no_answer_is_refused_in_words(message: Any, why: str) -> None:
    text = message if isinstance(message, str) else json.dumps(message)
    with pytest.raises(NotTold, match=why):
        read_told(text)


def test_a_shape_beyond_what_a_user_may_write_is_refused() -> None:
    model = MODELS[0].to_dict() | {"layers": 3 * 10**9}
    with pytest.raises(NotTold, match="its model is none"):
        read_told(json.dumps({"version": 1, "model": model}))


@given(st.text(max_size=200) | st.from_regex(r'\{"version":1,.{0,80}\}'))
def test_nothing_that_a_tenant_writes_is_a_crash(text: str) -> None:
    with contextlib.suppress(NotTold):
        read_told(text)
