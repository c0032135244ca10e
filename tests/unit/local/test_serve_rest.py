"""The dashboard's client: what it sends, and what it says when something else comes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import httpx
import pytest
from tests.unit.local.http_fakes import FakeServer, Request, listening
from tests.unit.local.serve_details import application, details

from freehold.errors import RayUnavailable
from freehold.local import serve_rest
from freehold.local.machine import free_ports
from freehold.local.serve_rest import ServeRest

TOKEN = "3f2a"
APPLICATIONS = "/api/serve/applications/"
PACKAGE = "/api/packages/gcs/_ray_pkg_1.zip"


@dataclass
class FakeDashboard(FakeServer):
    """A dashboard that asks for a token, as Ray's does in token mode."""

    def status(self, request: Request) -> tuple[int, str]:
        """Refuse whoever has no token."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, "Unauthorized: Missing authentication token"
        return super().status(request)


@pytest.fixture
def dashboard() -> Iterator[FakeDashboard]:
    told = json.dumps(details(application()))
    fake = FakeDashboard(
        {
            ("GET", APPLICATIONS): (200, told),
            ("PUT", APPLICATIONS): (200, ""),
            ("PUT", PACKAGE): (200, ""),
        }
    )
    with listening(fake):
        yield fake


@pytest.fixture
def rest(dashboard: FakeDashboard) -> Iterator[ServeRest]:
    with closing(ServeRest(f"{dashboard.url}/", TOKEN)) as client:
        yield client


def test_details_are_read_with_the_token(rest: ServeRest) -> None:
    assert rest.details() == details(application())


def test_a_config_is_put_as_it_is(rest: ServeRest, dashboard: FakeDashboard) -> None:
    rest.apply({"applications": [{"name": "ü"}]})
    (request,) = dashboard.requests
    assert (request.method, request.path) == ("PUT", APPLICATIONS)
    assert json.loads(request.body) == {"applications": [{"name": "ü"}]}
    # Ray blocks writes of what looks like a browser
    assert not {"referer", "origin"} & request.headers.keys()
    assert not request.headers["user-agent"].startswith("Mozilla")


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_refused_token_names_the_variable(dashboard: FakeDashboard, token: str | None) -> None:
    with (
        closing(ServeRest(dashboard.url, token)) as client,
        pytest.raises(RayUnavailable, match=r"refuses the token; set RAY_AUTH_TOKEN"),
    ):
        client.details()


def test_an_error_is_told_with_the_dashboards_words(
    rest: ServeRest, dashboard: FakeDashboard
) -> None:
    dashboard.answers["PUT", APPLICATIONS] = 500, "pydantic: route_prefix must start with '/'\n"
    with pytest.raises(RayUnavailable) as told:
        rest.apply({})
    assert str(told.value) == (
        f"Ray at {dashboard.url} answered 500 to PUT {APPLICATIONS}: "
        f"pydantic: route_prefix must start with '/'"
    )


def test_a_page_that_is_missing_is_an_error(rest: ServeRest, dashboard: FakeDashboard) -> None:
    del dashboard.answers["GET", APPLICATIONS]
    with pytest.raises(RayUnavailable, match="answered 404"):
        rest.details()


@pytest.mark.parametrize("body", ["<html>Grafana</html>", "", "[]", "null", '"x"'])
def test_something_else_at_the_address_is_told(
    rest: ServeRest, dashboard: FakeDashboard, body: str
) -> None:
    dashboard.answers["GET", APPLICATIONS] = 200, body
    with pytest.raises(RayUnavailable, match=r"is not Ray's dashboard: .*8265 by default"):
        rest.details()


def test_nobody_at_the_address_is_told() -> None:
    (port,) = free_ports("127.0.0.1", 1)
    with (
        closing(ServeRest(f"http://127.0.0.1:{port}", None)) as client,
        pytest.raises(RayUnavailable, match=rf"127\.0\.0\.1:{port} does not answer .*refused"),
    ):
        client.details()


def test_a_dashboard_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_rest, "_TIMEOUT", httpx.Timeout(0.1))
    with (
        listening(FakeDashboard(silent=threading.Event())) as dashboard,
        closing(ServeRest(dashboard.url, TOKEN)) as client,
        pytest.raises(RayUnavailable, match=r"does not answer \(timed out\)"),
    ):
        client.details()


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://head:10001", "auto", "http://[::1"])
def test_an_address_that_is_no_url_is_told(address: str) -> None:
    with pytest.raises(RayUnavailable, match="dashboard"):
        ServeRest(address, None).details()


def test_an_archive_is_stored_once(rest: ServeRest, dashboard: FakeDashboard) -> None:
    rest.upload("_ray_pkg_1.zip", b"PK-archive")
    sent = [(request.method, request.body) for request in dashboard.requests]
    assert sent == [("GET", b""), ("PUT", b"PK-archive")]
    dashboard.answers["GET", PACKAGE] = 200, ""
    rest.upload("_ray_pkg_1.zip", b"PK-archive")
    assert [request.method for request in dashboard.requests] == ["GET", "PUT", "GET"]


def test_an_archive_that_cannot_be_stored_is_told(
    rest: ServeRest, dashboard: FakeDashboard
) -> None:
    dashboard.answers["PUT", PACKAGE] = 413, "too large"
    with pytest.raises(RayUnavailable, match=r"answered 413 to PUT .*too large"):
        rest.upload("_ray_pkg_1.zip", b"x")
