"""Keys are files in a folder; they come and go while requests do, and none is shown."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from pathlib import Path

import pytest

from freehold.serving.api_keys import AUTHENTICATION, FOLDER, ApiKeys, keys_of


class Clock:
    """Goes forward when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Mounted:
    """A Secret in a folder, swapped as the kubelet does it."""

    def __init__(self, folder: Path, **entries: str) -> None:
        self.folder, self._states = folder, 0
        self.swap(**entries)

    def swap(self, **entries: str) -> None:
        self._states += 1
        new = self.folder / f"..2026_{self._states}"
        new.mkdir()
        for name, value in entries.items():
            (new / name).write_text(value)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        link = self.folder / "..data_tmp"
        link.symlink_to(new.name)
        former = (self.folder / "..data").resolve()
        link.replace(self.folder / "..data")
        for name in [it.name for it in self.folder.iterdir() if not it.name.startswith("..")]:
            if name not in entries:
                (self.folder / name).unlink()
        if former.is_dir() and former != self.folder / "..data":
            for item in former.iterdir():
                item.unlink()
            former.rmdir()


def bearing(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {key}".encode())]


def test_each_entry_is_a_key_without_the_space_around_it(tmp_path: Path) -> None:
    Mounted(tmp_path, one="first\n", two="  second  ")
    keys = ApiKeys(tmp_path)
    assert keys.admit(bearing("first"))
    assert keys.admit(bearing("second"))
    assert not keys.admit(bearing("third"))


def test_without_a_key_nobody_gets_in(tmp_path: Path) -> None:
    Mounted(tmp_path, empty="", blank=" \n")
    for folder in (tmp_path, tmp_path / "missing"):
        keys = ApiKeys(folder)
        assert not keys.admit([])
        assert not keys.admit(bearing(""))
        assert not keys.admit([(b"authorization", b"Bearer")])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"first")],
        [(b"authorization", b"Basic first")],
        [(b"authorization", b"Bearerfirst")],
        [(b"authorization", b"Bearer first, second")],
        [(b"authorization", b"Bearer First")],
        [(b"authorization", b"Bearer firs")],
        [(b"authorization", b"Bearer first\x00")],
        [(b"authorization", b"Bearer \xff")],
        [(b"x-api-key", b"first")],
        [(b"authorization", b"Bearer first"), (b"authorization", b"Bearer first")],
    ],
)
def test_what_is_no_bearer_key_does_not_open(
    headers: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    Mounted(tmp_path, one="first")
    assert not ApiKeys(tmp_path).admit(headers)


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer first"),
        (b"Authorization", b"bearer first"),
        (b"AUTHORIZATION", b"BEARER  first "),
    ],
)
def test_case_and_space_in_the_header_do_not_matter(
    header: tuple[bytes, bytes], tmp_path: Path
) -> None:
    Mounted(tmp_path, one="first")
    assert ApiKeys(tmp_path).admit([(b"accept", b"*/*"), header])


def test_a_key_is_rotated_without_a_gap(tmp_path: Path) -> None:
    clock, secret = Clock(), Mounted(tmp_path, old="old")
    keys = ApiKeys(tmp_path, clock)
    admitted = []
    for entries in ({"old": "old"}, {"old": "old", "new": "new"}, {"new": "new"}, {}):
        secret.swap(**entries)
        clock.now += 1
        admitted.append([it for it in ("old", "new") if keys.admit(bearing(it))])
    assert admitted == [["old"], ["old", "new"], ["new"], []]


def test_the_folder_is_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    clock, secret = Clock(), Mounted(tmp_path, one="old")
    keys = ApiKeys(tmp_path, clock)
    assert keys.admit(bearing("old"))
    secret.swap(one="new")
    clock.now += 0.9
    assert keys.admit(bearing("old"))
    clock.now += 0.1
    assert not keys.admit(bearing("old"))
    assert keys.admit(bearing("new"))


def test_files_that_did_not_change_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    Mounted(tmp_path, one="first", two="second")
    keys = ApiKeys(tmp_path, clock)
    assert keys.admit(bearing("first"))
    read = reads(monkeypatch)
    clock.now += 1
    assert keys.admit(bearing("second"))
    assert read == []


def reads(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None] = lambda: None) -> list[str]:
    """Return the names of the files that are read from now on."""
    names: list[str] = []
    read_bytes = Path.read_bytes

    def read(path: Path) -> bytes:
        names.append(path.name)
        before()
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    return names


def test_a_swap_in_the_midst_of_reading_takes_no_key_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Mounted(tmp_path, one="first", two="second")
    swaps = [{"one": "first", "two": "second", "three": "third"}]
    read = reads(monkeypatch, lambda: secret.swap(**swaps.pop()) if swaps else None)
    keys = ApiKeys(tmp_path)
    assert keys.admit(bearing("first"))
    assert keys.admit(bearing("third"))
    assert len(read) == 4


def test_plain_files_are_followed_too(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "key").write_text("first")
    (tmp_path / "folder").mkdir()
    keys = ApiKeys(tmp_path, clock)
    assert keys.admit(bearing("first"))
    (tmp_path / "key").write_text("another")
    clock.now += 1
    assert keys.admit(bearing("another"))
    assert not keys.admit(bearing("first"))
    (tmp_path / "key").unlink()
    clock.now += 1
    assert not keys.admit(bearing("another"))


def test_keys_that_cannot_be_read_open_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("first")

    def refuse(_: Path) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert not ApiKeys(tmp_path).admit(bearing("first"))


def test_every_key_is_compared_whichever_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Mounted(tmp_path, **{f"key-{i}": f"secret-{i}" for i in range(5)})
    compared: list[bytes] = []
    in_constant_time = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return in_constant_time(one, other)

    keys = ApiKeys(tmp_path)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    for given in ("secret-0", "secret-4", "none of them"):
        compared.clear()
        keys.admit(bearing(given))
        assert len(set(compared)) == 5


def test_no_key_is_kept_or_shown(tmp_path: Path) -> None:
    Mounted(tmp_path, one="the-secret")
    keys = ApiKeys(tmp_path)
    assert keys.admit(bearing("the-secret"))
    assert "the-secret" not in repr(keys) + repr(vars(keys))


def test_only_a_written_none_asks_for_nothing(tmp_path: Path) -> None:
    assert keys_of({AUTHENTICATION: "None"}) is None
    (tmp_path / "key").write_text("first")
    for said in ({}, {AUTHENTICATION: ""}, {AUTHENTICATION: "none"}, {AUTHENTICATION: "APIKey"}):
        keys = keys_of({**said, FOLDER: str(tmp_path)})
        assert keys is not None
        assert not keys.admit([])
        assert keys.admit(bearing("first"))


def test_an_environment_that_was_lost_lets_nobody_in() -> None:
    keys = keys_of({})
    assert keys is not None
    assert not keys.admit(bearing("any"))
