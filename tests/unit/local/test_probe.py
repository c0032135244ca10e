"""Only a token proves that an engine answers; anything else is told as it came."""

from __future__ import annotations

import json
import threading

import pytest
from tests.unit.local.http_fakes import FakeServer, listening

from freehold.local import probe
from freehold.local.machine import free_ports
from freehold.local.probe import answers

ROUTE = ("POST", "/chat/v1/completions")
TOKEN = '{"choices": [{"index": 0, "text": " world", "finish_reason": "length"}]}'


def test_a_token_is_proof() -> None:
    with listening(FakeServer({ROUTE: (200, TOKEN)})) as engine:
        assert answers(f"{engine.url}/chat/v1", "org/chat", {"X-Key": "k"}) == ""
        (request,) = engine.requests
    asked = json.loads(request.body)
    assert (asked["model"], asked["max_tokens"]) == ("org/chat", 1)
    assert request.headers["x-key"] == "k"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "body", ['{"choices": []}', '{"error": "busy"}', "[1]", "null", "", "<html>a proxy</html>"]
)
def test_an_answer_without_a_choice_is_none(body: str) -> None:
    with listening(FakeServer({ROUTE: (200, body)})) as engine:
        assert answers(f"{engine.url}/chat/v1", "chat") == f"an answer without a choice: {body}"


@pytest.mark.parametrize(
    ("status", "text"),
    [(500, "Internal Server Error"), (404, '{"error": {"message": "no such model"}}'), (429, "")],
)
def test_an_error_is_told_with_its_words(status: int, text: str) -> None:
    with listening(FakeServer({ROUTE: (status, text)})) as engine:
        assert answers(f"{engine.url}/chat/v1", "chat") == f"HTTP {status}: {text}"


def test_long_words_are_cut() -> None:
    with listening(FakeServer({ROUTE: (500, "x" * 9000)})) as engine:
        assert len(answers(f"{engine.url}/chat/v1", "chat")) < 320


def test_nobody_there_is_told() -> None:
    (port,) = free_ports("127.0.0.1", 1)
    assert "refused" in answers(f"http://127.0.0.1:{port}/v1", "chat")


def test_an_engine_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TIMEOUT_SECONDS", 0.1)
    with listening(FakeServer(silent=threading.Event())) as engine:
        assert answers(f"{engine.url}/v1", "chat") == "timed out"


def test_proxies_of_the_environment_are_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with listening(FakeServer({ROUTE: (200, TOKEN)})) as engine:
        assert answers(f"{engine.url}/chat/v1", "chat") == ""
