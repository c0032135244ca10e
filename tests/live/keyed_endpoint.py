"""What an endpoint that asks for a key lets through, as OpenAI's own client sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import openai
import psutil
import pytest
from tests.live.harness import Run, eventually

NAME, KEY, NEXT = "keyed", "fh-of-now", "fh-of-tomorrow"
# How long a key that came or went may be without effect, on a machine that is busy.
ROTATION_SECONDS = 30.0
STEERING = {
    "priority": -1,
    "request_id": "of-another",
    "kv_transfer_params": {"do_remote_prefill": True},
    "vllm_xargs": {"a": 1},
    "cache_salt": "of-another",
}


def key_folder(run: Run) -> Path:
    """Return where a run keeps its keys: in its Ray's own folder."""
    owners = [it for it in Path("/tmp").glob("fh-*/owner") if it.is_file()]
    (found,) = [it for it in owners if it.read_text() == str(run.process.pid)]
    return found.parent / "api-keys"


@contextmanager
def client(url: str, key: str) -> Iterator[openai.OpenAI]:
    with httpx.Client(trust_env=False) as http:
        yield openai.OpenAI(base_url=url, api_key=key, max_retries=0, http_client=http)


def admitted(url: str, key: str) -> bool:
    with client(url, key) as keyed:
        try:
            keyed.models.list()
        except openai.AuthenticationError:
            return False
        return True


def opens_to_its_key(url: str) -> None:
    """The models can be listed and asked, and tokens come one by one."""
    with client(url, KEY) as keyed:
        assert [it.id for it in keyed.models.list()] == [NAME]
        assert keyed.models.retrieve(NAME).id == NAME
        answer = keyed.completions.create(model=NAME, prompt="Hello", max_tokens=4)
        assert answer.usage is not None
        assert answer.usage.completion_tokens <= 4
        messages = [{"role": "user", "content": "Hello"}]
        endless = {"ignore_eos": True}
        with keyed.chat.completions.create(
            model=NAME, messages=messages, max_tokens=8, stream=True, extra_body=endless
        ) as stream:
            assert sum(bool(chunk.choices) for chunk in stream) > 1


def is_shut_without(url: str) -> None:
    """Nothing but its health is told to who has another key or none."""
    root = url.removesuffix("/v1")
    for key in ("wrong", KEY[:-1], KEY + "0"):
        with client(url, key) as keyed, pytest.raises(openai.AuthenticationError) as refused:
            keyed.completions.create(model=NAME, prompt="Hello", max_tokens=1)
        assert refused.value.code == "invalid_api_key"
        assert refused.value.type == "invalid_request_error"
    asked = ("/v1/models", f"/v1/models/{NAME}", "/metrics", "/version", "/docs", "/tokenize")
    for path in asked:
        answer = httpx.get(root + path, trust_env=False)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    for path in ("/invocations", "/v1/load_lora_adapter", "/pause", "/v1/completions"):
        assert httpx.post(root + path, json={}, trust_env=False).status_code == 401
    assert httpx.get(f"{root}/health", trust_env=False).status_code == 200


def hands_on_nothing_that_steers(url: str) -> None:
    """Neither a body nor a header reaches what would steer Ray or the engine."""
    for name, value in STEERING.items():
        with client(url, KEY) as keyed, pytest.raises(openai.BadRequestError) as refused:
            keyed.completions.create(
                model=NAME, prompt="Hello", max_tokens=1, extra_body={name: value}
            )
        assert (refused.value.param, refused.value.code) == (name, "unsupported_parameter")
    bearer = {"Authorization": f"Bearer {KEY}"}
    root = url.removesuffix("/v1")
    for path in ("/metrics", "/version", "/openapi.json", "/load"):
        assert httpx.get(root + path, headers=bearer, trust_env=False).status_code == 404
    for path in ("/invocations", "/tokenize", "/v1/load_lora_adapter"):
        answer = httpx.post(root + path, json={}, headers=bearer, trust_env=False)
        assert answer.status_code == 404
    page = bearer | {
        "Origin": "https://elsewhere.example",
        "X-data-parallel-rank": "7",
        "X-Request-Timeout-Seconds": "0.0001",
    }
    asks = {"model": NAME, "prompt": "Hello", "max_tokens": 1}
    answer = httpx.post(f"{url}/completions", json=asks, headers=page, trust_env=False, timeout=300)
    # the engine refuses a rank that it does not have, and Ray what takes longer than a client says
    assert answer.status_code == 200, answer.text
    assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = {"Origin": page["Origin"], "Access-Control-Request-Method": "POST"}
    answer = httpx.request("OPTIONS", f"{url}/completions", headers=preflight, trust_env=False)
    assert answer.status_code == 401
    assert not [name for name in answer.headers if name.startswith("access-control")]


def rotates(url: str, folder: Path) -> None:
    """Change keys while the engine runs: the next beside the former, then without it."""
    assert not admitted(url, NEXT)
    (folder / "next").write_text(f"{NEXT}\n")
    eventually("the next key opens", lambda: admitted(url, NEXT), ROTATION_SECONDS)
    assert admitted(url, KEY)
    (folder / "key").unlink()
    eventually("the former key opens no more", lambda: not admitted(url, KEY), ROTATION_SECONDS)
    assert admitted(url, NEXT)


def environments(run: Run) -> str:
    """Return the environments and command lines of all that a run started."""
    found = []
    for member in run.family():
        with suppress(psutil.Error):
            found.append(json.dumps([member.command, member.process.environ()]))
    assert any("ServeReplica" in it for it in found)
    return "\n".join(found)
