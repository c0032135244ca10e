"""The fault injector, in front of a small HTTP server that answers like an API server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from tests.faulty_api import (
    Answer,
    Cut,
    Delay,
    ExpireWatch,
    Fault,
    FaultyApi,
    Hang,
    HoldAnswer,
    LoseAnswer,
    Malformed,
    Refuse,
    Stall,
)

EVENT = b'{"type":"ADDED","object":{}}\n'
WATCH = "/api/v1/pods?watch=true"


class Origin:
    """What stands behind the injector, in a thread of its own.

    Attributes:
        seen: Method, path, headers and body of every request.
        port: Where it listens.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Origin:
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        self.port = self._runner.addresses[0][1]
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)

    async def _start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((request.method, request.raw_path, dict(request.headers), body))
        if "watch" not in request.query:
            return web.json_response({"kind": "PodList", "items": ["x" * 100]})
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(EVENT)
            await asyncio.sleep(0.02)

    @property
    def methods(self) -> list[str]:
        return [method for method, *_ in self.seen]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running


@pytest.fixture
def api(origin: Origin, tmp_path: Path) -> Iterator[FaultyApi]:
    path = tmp_path / "config"
    named: dict[str, Any] = {"name": "a"}
    config = {
        "clusters": [named | {"cluster": {"server": f"http://127.0.0.1:{origin.port}"}}],
        "users": [named | {"user": {"token": "administrator"}}],
        "contexts": [named | {"context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    path.write_text(json.dumps(config))
    with FaultyApi(path) as running:
        yield running


def ask(api: FaultyApi, method: str = "GET", path: str = "/api/v1/pods", **more: Any) -> Any:
    client = more.pop("client", "a")
    more.setdefault("timeout", 5)
    return httpx.request(method, api.url(client) + path, trust_env=False, **more)


def test_what_is_let_through_comes_as_it_was_sent(api: FaultyApi, origin: Origin) -> None:
    path = "/apis/freehold.dev/v1alpha1/x?labelSelector=a%3Db%2Cc&limit=5"
    sent = {"User-Agent": "test/1", "Content-Type": "application/apply-patch+yaml"}
    answer = ask(api, "PATCH", path, content=b"{}", headers=sent)
    assert answer.json()["kind"] == "PodList"
    ((method, seen, headers, body),) = origin.seen
    assert (method, seen, body) == ("PATCH", path, b"{}")
    assert headers.items() >= sent.items()


def test_credentials_of_the_client_s_own_are_not_mixed_with_the_kubeconfig_s(
    api: FaultyApi, origin: Origin
) -> None:
    ask(api)
    ask(api, headers={"Authorization": "Bearer own"})
    assert [headers["Authorization"] for _, _, headers, _ in origin.seen] == [
        "Bearer administrator",
        "Bearer own",
    ]


def test_a_kubeconfig_leads_through_the_client_s_own_port(api: FaultyApi, origin: Origin) -> None:
    config = json.loads(api.kubeconfig("b", token="t").read_text())
    assert config["clusters"][0]["cluster"]["server"] == api.url("b") != api.url("a")
    ask(api, client="b")
    ((_, _, headers, _),) = origin.seen
    assert headers["Authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (409, "Conflict"),
        (410, "Expired"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ],
)
def test_an_error_is_answered_as_the_api_server_would(
    api: FaultyApi, origin: Origin, status: int, reason: str
) -> None:
    rule = api.inject(Answer(status, retry_after=3))
    answer = ask(api)
    assert answer.status_code == status
    assert answer.headers["Retry-After"] == "3"
    assert answer.json().items() >= {"kind": "Status", "code": status, "reason": reason}.items()
    assert rule.hits == 1
    assert not origin.seen
    assert ask(api).status_code == 200


def test_half_an_object_is_no_json(api: FaultyApi, origin: Origin) -> None:
    api.inject(Malformed())
    answer = ask(api)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Unterminated"):
        answer.json()
    assert not origin.seen


def test_a_request_that_hangs_never_reaches_the_server(api: FaultyApi, origin: Origin) -> None:
    api.inject(Hang())
    with pytest.raises(httpx.ReadTimeout):
        ask(api, timeout=0.3)
    assert not origin.seen


def test_a_lost_answer_is_of_a_request_that_was_carried_out(api: FaultyApi, origin: Origin) -> None:
    api.inject(LoseAnswer(), method="POST")
    with pytest.raises(httpx.RemoteProtocolError):
        ask(api, "POST")
    assert origin.methods == ["POST"]


def test_an_answer_that_is_held_is_of_a_request_that_was_carried_out(
    api: FaultyApi, origin: Origin
) -> None:
    api.inject(HoldAnswer(), method="POST")
    with pytest.raises(httpx.ReadTimeout):
        ask(api, "POST", timeout=0.5)
    assert origin.methods == ["POST"]
    (request,) = api.journal.writes()
    assert (request.fault, request.status) == ("HoldAnswer", 0)
    assert request.answered is not None


def test_a_rule_may_let_some_requests_pass_first(api: FaultyApi) -> None:
    rule = api.inject(Answer(500), method="POST", skip=2)
    assert [ask(api, "POST").status_code for _ in range(4)] == [200, 200, 500, 200]
    assert rule.hits == 1


def test_a_refused_request_does_not_reach_the_server(api: FaultyApi, origin: Origin) -> None:
    api.inject(Refuse())
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(api)
    assert not origin.seen


def test_a_cut_answer_ends_after_so_many_bytes(api: FaultyApi) -> None:
    api.inject(Cut(after=20))
    body = b""
    with (
        pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)),
        httpx.stream("GET", api.url("a") + "/api/v1/pods", trust_env=False) as answer,
    ):
        for chunk in answer.iter_raw():
            body += chunk
    assert len(body) == 20


def test_a_delayed_request_is_answered_late(api: FaultyApi) -> None:
    api.inject(Delay(0.2))
    assert ask(api).status_code == 200
    (request,) = api.journal.requests()
    assert request.answered is not None
    assert request.answered - request.at >= 0.2


def test_a_rule_strikes_only_what_it_means_and_so_often(api: FaultyApi) -> None:
    rule = api.inject(Answer(500), method="PUT|PATCH", path="/status$", client="a", times=2)
    cases = [
        ("GET", "/x/status", "a"),
        ("PUT", "/x/status?y", "a"),
        ("PUT", "/x/status", "b"),
        ("PATCH", "/x/status", "a"),
        ("PUT", "/x/status", "a"),
        ("PUT", "/x/status", "a"),
    ]
    found = [ask(api, method, path, client=client).status_code for method, path, client in cases]
    assert found == [200, 200, 200, 500, 500, 200]
    assert rule.hits == 2


def test_a_rule_without_a_limit_strikes_until_it_is_removed_or_all_is_healed(
    api: FaultyApi,
) -> None:
    rule = api.inject(Answer(503), times=None)
    assert [ask(api).status_code for _ in range(5)] == [503] * 5
    rule.remove()
    assert ask(api).status_code == 200
    api.inject(Answer(503), times=None)
    api.heal()
    assert ask(api).status_code == 200


def watch(api: FaultyApi, read_timeout: float = 5.0) -> Iterator[bytes]:
    """Yield the lines of a watch; ends as the watch does."""
    timeout = httpx.Timeout(5, read=read_timeout)
    with httpx.stream("GET", api.url("a") + WATCH, timeout=timeout, trust_env=False) as answer:
        for line in answer.iter_lines():
            yield line.encode() + b"\n"


def test_a_watch_is_passed_on_as_it_comes(api: FaultyApi) -> None:
    lines = watch(api)
    assert [next(lines) for _ in range(3)] == [EVENT] * 3


@pytest.mark.parametrize("begun", ["before", "after"])
@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (Stall(), httpx.ReadTimeout),
        (Cut(), (httpx.RemoteProtocolError, httpx.ReadError)),
        (Refuse(), (httpx.RemoteProtocolError, httpx.ReadError)),
    ],
    ids=["goes silent", "is cut", "is refused"],
)
def test_a_watch_is_struck_whether_it_began_before_or_after_the_fault(
    api: FaultyApi, fault: Fault, end: Any, begun: str
) -> None:
    lines = watch(api, read_timeout=0.5)
    if begun == "before":
        next(lines)
    rule = api.inject(fault, watch=True)
    with pytest.raises(end):
        for _ in lines:
            pass
    assert rule.hits == 1
    assert [it.fault for it in api.journal.requests(watch=True)] == [type(fault).__name__]
    assert ask(api).status_code == 200


def test_a_watch_that_expires_ends_with_an_error_event_of_code_410(api: FaultyApi) -> None:
    lines = watch(api)
    next(lines)
    api.inject(ExpireWatch(), watch=True)
    *_, last = lines
    event = json.loads(last)
    assert event["type"] == "ERROR"
    assert event["object"]["code"] == 410
    assert event["object"]["reason"] == "Expired"


def test_a_server_that_is_away_ends_the_connection(api: FaultyApi, origin: Origin) -> None:
    origin.stop()
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(api)


def test_the_journal_tells_who_wrote_and_in_which_turns(api: FaultyApi) -> None:
    for client, method in [("a", "POST"), ("a", "GET"), ("a", "PATCH"), ("b", "PUT"), ("a", "PUT")]:
        ask(api, method, client=client, headers={"User-Agent": f"operator-{client}"})
    assert [it.method for it in api.journal.writes(client="a")] == ["POST", "PATCH", "PUT"]
    assert len(api.journal.requests(user_agent="operator-b", status=200)) == 1
    turns = api.journal.turns()
    assert [client for client, _, _ in turns] == ["a", "b", "a"]
    assert all(end <= begin for (_, _, end), (_, begin, _) in pairwise(turns))
