"""Our code for a Ray of somebody else, its token, and where its Serve answers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.local.fake_serve import World
from tests.unit.local.manifests import manifest, served
from tests.unit.local.serve_details import application, details

from freehold.errors import RayUnavailable
from freehold.local import shared_ray
from freehold.local.shared_ray import (
    endpoint_of,
    own_code_uri,
    ray_token,
    take_off,
)
from freehold.serving_archive import serving_archive


def test_the_uri_carries_the_digest_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(serving_archive()).hexdigest()[:40]
    assert own_code_uri() == f"gcs://_ray_pkg_{digest}.zip"
    monkeypatch.setattr("freehold.local.shared_ray.serving_archive", lambda: b"another release")
    assert own_code_uri() != f"gcs://_ray_pkg_{digest}.zip"


# --- token


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder; the environment says nothing of a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return tmp_path


def test_the_token_is_looked_for_where_ray_looks(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ray_token() is None
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("of-home\n")
    assert ray_token() == "of-home"
    (home / "elsewhere").write_text(" of-path\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "elsewhere"))
    assert ray_token() == "of-path"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-environment\n")
    assert ray_token() == "of-environment"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\x00"])
def test_a_token_file_without_a_token_is_none(
    home: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (home / "token").write_bytes(content)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "token"))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    assert ray_token() is None


def test_a_token_file_that_is_missing_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "nowhere"))
    assert ray_token() is None


# --- endpoint


@pytest.mark.parametrize(
    ("options", "address", "endpoint"),
    [
        ({"host": "0.0.0.0", "port": 8123}, "http://head:8265", "http://head:8123"),
        ({"port": 8000, "root_path": "/ai/"}, "https://ray.lan", "http://ray.lan:8000/ai"),
        (None, "http://127.0.0.1:8265", "http://127.0.0.1:8000"),
        ({}, "http://[fd00::5]:8265", "http://[fd00::5]:8000"),
    ],
)
def test_serve_answers_at_the_host_of_the_dashboard(
    options: dict[str, object] | None, address: str, endpoint: str
) -> None:
    assert endpoint_of(details(http_options=options), address) == endpoint


def test_a_ray_without_http_is_refused() -> None:
    with pytest.raises(RayUnavailable, match="proxy_location is Disabled"):
        endpoint_of(details(proxy_location="Disabled"), "http://head:8265")


# --- our models taken off


class Pauses(threading.Event):
    """Counts the pauses between two tries, and lets something happen in each."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self.count = 0
        self._steps: Iterator[Callable[[], object]] = iter(steps)

    def wait(self, timeout: float | None = None) -> bool:
        """Do the next step instead of sleeping."""
        self.count += 1
        next(self._steps, lambda: None)()
        return self.is_set()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a Ray with a model of ours and an application of somebody else."""
    (chat,) = served(tmp_path, manifest())
    world = World(chat)
    world.tells(chat, "RUNNING", "a")
    leaves(world, "RUNNING")()
    return world


def leaves(world: World, status: str) -> Callable[[], None]:
    """Return what lets the foreign application have a status."""
    config = {"name": "theirs", "import_path": "theirs:app", "route_prefix": "/theirs"}
    item = application("theirs", status, route="/theirs", config=config)

    def tell() -> None:
        world.serve.told["applications"]["theirs"] = item

    return tell


def taken_off(world: World, pauses: Pauses) -> str:
    return take_off(world.session, world.serve, ["chat"], pauses, world.said.append)


def test_our_models_are_taken_off_at_once_where_nothing_is_in_the_way(world: World) -> None:
    pauses = Pauses()
    pauses.set()  # by the Ctrl-C that ended the run
    assert taken_off(world, pauses) == ""
    names = [item["name"] for item in world.serve.configs[-1]["applications"]]
    assert (names, pauses.count, world.said) == (["theirs"], 0, [])


def test_our_models_are_taken_off_once_nothing_is_in_the_way(world: World) -> None:
    leaves(world, "DELETING")()
    pauses = Pauses(lambda: None, lambda: None, leaves(world, "RUNNING"))
    pauses.set()
    assert taken_off(world, pauses) == ""
    assert pauses.count == 3
    (sentence,) = world.said
    assert "'theirs' on this Ray cannot be sent back unchanged" in sentence
    assert "trying again for 60 s" in sentence
    names = [item["name"] for item in world.serve.configs[-1]["applications"]]
    assert names == ["theirs"]


def test_what_stays_is_named_with_how_to_remove_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_ray, "REMOVE_SECONDS", 0.0)
    leaves(world, "DELETING")()
    left = taken_off(world, Pauses())
    assert "these applications of ours stay on the Ray at http://127.0.0.1:8265" in left
    assert "go on serving: chat (" in left
    assert "`serve deploy -a http://127.0.0.1:8265 FILE`" in left
    assert "/api/serve/applications/" in left


def test_who_does_not_want_to_wait_is_told_what_stays(world: World) -> None:
    leaves(world, "DELETING")()
    pauses = Pauses()
    pauses._steps = iter([pauses.set])
    assert "go on serving: chat (" in taken_off(world, pauses)
    assert pauses.count == 1


def test_what_stays_is_named_where_ray_tells_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_ray, "REMOVE_SECONDS", 0.0)

    def silent() -> None:
        raise RayUnavailable("the dashboard does not answer")

    monkeypatch.setattr(world.serve, "details", silent)
    left = taken_off(world, Pauses())
    assert "go on serving: chat (the dashboard does not answer)" in left
