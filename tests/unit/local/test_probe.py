"""Only a token proves that an engine answers; anything else is told as it came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest
from tests.unit.local.http_fakes import FakeServer, listening

from freehold.local import probe
from freehold.local.machine import free_ports
from freehold.local.probe import answers

ROUTE = ("POST", "/chat/v1/completions")
TOKEN = '{"choices": [{"index": 0, "text": " world", "finish_reason": "length"}]}'


def test_a_token_is_proof() -> None:
    with listening(FakeServer({ROUTE: (200, TOKEN)})) as engine:
        assert answers(f"{engine.url}/chat/v1", "org/chat") == ""
        (request,) = engine.requests
    asked = json.loads(request.body)
    assert (asked["model"], asked["max_tokens"]) == ("org/chat", 1)
    assert request.headers["content-type"] == "application/json"


def test_a_key_is_sent_where_there_is_one() -> None:
    with listening(FakeServer({ROUTE: (200, TOKEN)})) as engine:
        for key in (None, "fh-1"):
            assert answers(f"{engine.url}/chat/v1", "chat", key) == ""
        sent = [it.headers.get("authorization") for it in engine.requests]
    assert sent == [None, "Bearer fh-1"]


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


def test_a_background_probe_is_polled_and_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    release = threading.Event()

    def slow(url: str, _model: str, key: str | None) -> str:
        asked.append(f"{url} with {key}")
        release.wait(10)
        return ""

    monkeypatch.setattr(probe, "answers", slow)
    ask = probe.BackgroundProbe("fh-1")
    assert ask("u", "m") is None
    assert ask("u", "m") is None
    release.set()
    assert wait_for(lambda: ask("u", "m")) == ""
    assert asked == ["u with fh-1"]


def test_a_way_that_is_not_open_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter(["no connection: refused", "HTTP 404: nobody", "HTTP 503: not yet", ""])
    monkeypatch.setattr(probe, "answers", lambda *_: next(found))
    monkeypatch.setattr(probe, "_PAUSE_SECONDS", 0.0)
    ask = probe.BackgroundProbe()
    assert wait_for(lambda: ask("u", "m")) == ""


def test_an_engine_that_fails_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter(["HTTP 500: EngineDeadError"])
    monkeypatch.setattr(probe, "answers", lambda *_: next(found))
    ask = probe.BackgroundProbe()
    assert wait_for(lambda: ask("u", "m")) == "HTTP 500: EngineDeadError"


def test_whatever_goes_wrong_comes_back_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = probe.BackgroundProbe()
    found = wait_for(lambda: ask("http://::1:8000/v1", "m"))  # no URL to httpx
    assert found is not None
    assert found.startswith("the request could not be made: InvalidURL: ")

    def broken(*_: str) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr(probe, "answers", broken)
    words = "the request could not be made: RuntimeError: a bug"
    assert wait_for(lambda: ask("u", "m")) == words


def wait_for(poll: Callable[[], str | None]) -> str | None:
    end = time.monotonic() + 10
    while (found := poll()) is None and time.monotonic() < end:
        time.sleep(0.01)
    return found
