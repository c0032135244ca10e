"""The keys that open an endpoint: files in a folder, looked at again while requests come.

A key is kept as its SHA-256 alone. What is asked of a client, and where the keys are, this process
has from its environment. A gateway that asks for keys itself would hand on one of its own here.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

# APIKey or None, as spec.endpoint.authentication.type; what is neither, or missing, is APIKey, so
# that an engine whose environment was lost lets nobody in.
AUTHENTICATION = "FREEHOLD_AUTHENTICATION"
NOT_ASKED = "None"
# The folder with the keys, where it is not this one.
FOLDER = "FREEHOLD_API_KEYS"
MOUNTED = "/var/run/freehold/api-keys"

_LOOK_S = 1.0
# The kubelet writes a Secret's entries into a new folder, turns this link to it and removes the
# former one: what was listed may be gone when it is read, and is found behind the link then.
_SWAPPED = "..data"
_ATTEMPTS = 3
_SCHEME = b"bearer"

Header = tuple[bytes, bytes]
# What tells one state of the folder from another: names, times of change, sizes.
_Signature = tuple[tuple[str, int, int], ...]


class ApiKeys:
    """The keys in a folder, each the content of a file without the white space around it.

    Files are read again when they have changed, and looked at once a second at most. That is done
    in the event loop: a folder in memory with a handful of short files takes some microseconds. An
    empty file is no key; a folder that is not there has none.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read nothing yet.

        Args:
            folder: Where the keys are.
            clock: Seconds that only go forward.
        """
        self._folder, self._clock = folder, clock
        self._next_look = -_LOOK_S
        self._signature: _Signature | None = None
        self._digests: Sequence[bytes] = ()

    def admit(self, headers: Iterable[Header]) -> bool:
        """Return whether a request with these headers bears a key."""
        presented = _digest(_bearer(headers))
        # every key is compared, also after one that matched: time tells nothing about them
        found = False
        for digest in self._current():
            found |= hmac.compare_digest(digest, presented)
        return found

    def _current(self) -> Sequence[bytes]:
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._look()
        return self._digests

    def _look(self) -> None:
        """Read the files again where they are others than before; what cannot be read is no key."""
        for _ in range(_ATTEMPTS):
            try:
                self._read(self._resolved())
                return
            except OSError:
                continue
        self._signature, self._digests = None, ()

    def _resolved(self) -> Path:
        """Return the folder behind the kubelet's link, so that all files are of one state."""
        swapped = self._folder / _SWAPPED
        return Path(os.path.realpath(swapped)) if swapped.is_symlink() else self._folder

    def _read(self, folder: Path) -> None:
        with os.scandir(folder) as found:
            files = [item for item in found if item.is_file()]
        signature = _signature(folder, files)
        if signature != self._signature:
            keys = [Path(item.path).read_bytes().strip() for item in files]
            self._digests = tuple(_digest(key) for key in keys if key)
            self._signature = signature


def keys_of(environment: Mapping[str, str]) -> ApiKeys | None:
    """Return the keys that an engine asks for, or None where nothing is asked of its clients."""
    if environment.get(AUTHENTICATION) == NOT_ASKED:
        return None
    return ApiKeys(Path(environment.get(FOLDER) or MOUNTED))


def _bearer(headers: Iterable[Header]) -> bytes:
    """Return the key that a request bears; b"", which no key is, for none or a malformed one."""
    found = [value for name, value in headers if name.lower() == b"authorization"]
    if len(found) != 1:
        return b""
    scheme, _, key = found[0].strip().partition(b" ")
    return key.strip() if scheme.lower() == _SCHEME else b""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _signature(folder: Path, files: Iterable[os.DirEntry[str]]) -> _Signature:
    states = [(item.name, item.stat()) for item in files]
    told = sorted((name, state.st_mtime_ns, state.st_size) for name, state in states)
    return ((str(folder), 0, 0), *told)
