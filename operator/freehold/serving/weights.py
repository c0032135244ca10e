"""What a model's files are at one moment, and whether they are whole.

The same code reads a source for a rollout and looks again before an engine starts, so that both
mean the same by a model's files. Nothing outside of the standard library is used.

Of a folder count the files that lie in it itself: safetensors, of which only the header is read,
and what is small and decides what the engine does (configuration, tokenizer, templates, code),
which is read whole. Weights of other formats count by name and size. All else, such as a licence,
may change.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

INDEX = "model.safetensors.index.json"
_CONFIGS = frozenset({"config.json", "params.json"})
_READ_WHOLE = (".jinja", ".json", ".model", ".py", ".tiktoken", ".txt")
_BY_SIZE = (".bin", ".gguf", ".pt", ".pth")
_SAFETENSORS = ".safetensors"
# Of a file that is larger than any tokenizer only the size counts.
_LARGEST_WHOLE = 64 << 20
# The format's own limit (safetensors 0.6, ``MAX_HEADER_SIZE``).
_LARGEST_HEADER = 100_000_000
_LENGTH_BYTES = 8
# Most headers are shorter: what is far away is asked for once.
_FIRST_READ = 256 << 10
_SHOWN_DIGITS = 8
_SHOWN_NAMES = 3


class WeightsError(Exception):
    """Files that no engine shall start with; the message says which, and what to do."""


class Files(Protocol):
    """The files of a model, wherever they lie."""

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every file by its name, without those in folders below."""

    def read(self, name: str, length: int) -> bytes:
        """Return so many bytes from a file's beginning; it has as many."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A model's files, told from any others but in the values of their tensors.

    Attributes:
        digest: ``sha256:`` and the digest of all that counts.
        files: The first digits of each file's own digest, by name: to say which one changed.
    """

    digest: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """A folder of this machine; links in it are followed."""

    folder: Path

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every file by its name."""
        with os.scandir(self.folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def read(self, name: str, length: int) -> bytes:
        """Return bytes from a file's beginning."""
        with (self.folder / name).open("rb") as file:
            return file.read(length)


def fingerprint(files: Files) -> Fingerprint:
    """Return what the files are.

    A file's digest is the SHA-256 of its size in decimal, a newline and what was read of it; the
    digest of all is the SHA-256 of lines of a name, a space and such a digest, sorted by name.

    Raises:
        WeightsError: They are not whole.
        OSError: They cannot be read.
    """
    sizes = _counting(files)
    lacks = _what_is_missing(files, sizes)
    if lacks:
        raise WeightsError(f"{lacks}. Copy the model there again")
    each = {name: _digest_of(files, name, sizes[name]) for name in sorted(sizes)}
    whole = hashlib.sha256("".join(f"{name} {it}\n" for name, it in each.items()).encode())
    short = {name: digest[:_SHOWN_DIGITS] for name, digest in each.items()}
    return Fingerprint(f"sha256:{whole.hexdigest()}", short)


def require(files: Files, digest: str | None, known: Mapping[str, str] | None = None) -> None:
    """Take files that are whole and, where that is known, those of the rollout.

    Args:
        files: The files.
        digest: Digest of those that the rollout saw; None where it saw none.
        known: The digits of each of them; may be empty.

    Raises:
        WeightsError: They are cut off, or others.
        OSError: They cannot be read.
    """
    found = fingerprint(files)
    if digest is None or found.digest == digest:
        return
    which = changed_files(known or {}, found.files) or f"{found.digest} instead of {digest}"
    raise WeightsError(
        f"the files are not those of the rollout: {which}. Put the former files back, or tell of "
        "the new ones by another spec.model.revision"
    )


def fault_of(folder: str, digest: str | None, known: Mapping[str, str] | None) -> str | None:
    """Return what is wrong with the files in a folder of this machine, in words, or None.

    Args:
        folder: The folder.
        digest: Digest of those that the rollout saw; None where it saw none.
        known: The digits of each of them; may be empty.
    """
    place = f"the weights in {folder} (seen by {socket.gethostname()})"
    try:
        require(LocalFiles(Path(folder)), digest, known)
    except WeightsError as error:
        return f"{place}: {error}."
    except OSError as error:
        why = error.strerror or type(error).__name__
        name = f"{error.filename}: " if error.filename else ""
        return f"{place} cannot be read: {name}{why}."
    return None


def changed_files(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Return in words which files are others; "" where nothing is known of the old ones."""
    if not old:
        return ""
    told = (
        ("changed", sorted(it for it in old.keys() & new.keys() if old[it] != new[it])),
        ("missing", sorted(old.keys() - new.keys())),
        ("added", sorted(new.keys() - old.keys())),
    )
    return "; ".join(f"{what} {_listed(names)}" for what, names in told if names)


def missing_part(size: int, read: Callable[[int], bytes]) -> str | None:
    """Return why a safetensors file cannot be whole, in words; None where it can be.

    A file is eight bytes with the length of the header (little-endian), the header as JSON and
    the tensors, whose ``data_offsets`` count from the header's end
    (https://huggingface.co/docs/safetensors). Only the header is read.

    Args:
        size: Bytes of the file.
        read: Returns so many bytes from its beginning.
    """
    start = _with_header(size, read)
    if start is None:
        return f"has {size} bytes and no safetensors header that can be read"
    tensors = _end_of_tensors(start[_LENGTH_BYTES:])
    if tensors is None:
        return "has no safetensors header that can be read"
    whole = len(start) + tensors
    return f"has {size} of {whole} bytes" if size < whole else None


def _counting(files: Files) -> dict[str, int]:
    ends = (_SAFETENSORS, *_READ_WHOLE, *_BY_SIZE)
    return {
        name: size
        for name, size in files.sizes().items()
        if name.endswith(ends) and not name.startswith(".")
    }


def _what_is_missing(files: Files, sizes: Mapping[str, int]) -> str:
    """Return why the files are not whole, in words; "" where they are."""
    if not _CONFIGS & sizes.keys():
        return "there is no config.json"
    gone = sorted(_named(files, sizes) - sizes.keys())
    if gone:
        return f"{INDEX} names what is not there: {_listed(gone)}"
    for name in sorted(sizes):
        if name.endswith(_SAFETENSORS):
            lacks = missing_part(sizes[name], _reader(files, name))
            if lacks:
                return f"{name} {lacks}"
    if not any(name.endswith((_SAFETENSORS, *_BY_SIZE)) for name in sizes):
        return "there are no weights"
    return ""


def _named(files: Files, sizes: Mapping[str, int]) -> set[str]:
    """Return the files that the index names; none where there is no index."""
    if INDEX not in sizes:
        return set()
    found = _object(files.read(INDEX, sizes[INDEX]))
    names = found.get("weight_map") if found else None
    if not isinstance(names, dict):
        raise WeightsError(f"{INDEX} holds no weight_map. Copy the model there again")
    return {name for name in names.values() if isinstance(name, str)}


def _reader(files: Files, name: str) -> Callable[[int], bytes]:
    return lambda length: files.read(name, length)


def _digest_of(files: Files, name: str, size: int) -> str:
    digest = hashlib.sha256(f"{size}\n".encode())
    if name.endswith(_SAFETENSORS):
        digest.update(_with_header(size, _reader(files, name)) or b"")
    elif name.endswith(_READ_WHOLE) and size <= _LARGEST_WHOLE:
        digest.update(files.read(name, size))
    return digest.hexdigest()


def _with_header(size: int, read: Callable[[int], bytes]) -> bytes | None:
    """Return the beginning of a safetensors file to its header's end, or None where it has none."""
    start = read(min(size, _FIRST_READ))
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if not 2 <= length <= min(_LARGEST_HEADER, size - _LENGTH_BYTES):
        return None
    end = _LENGTH_BYTES + length
    return start[:end] if end <= len(start) else read(end)


def _end_of_tensors(header: bytes) -> int | None:
    """Return where the last tensor ends, or None where the header is none."""
    entries = _object(header)
    if entries is None:
        return None
    ends = [0]
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not isinstance(offsets, list) or [type(n) for n in offsets] != [int, int]:
            return None
        ends.append(offsets[1])
    return max(ends)


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _SHOWN_NAMES
    shown = ", ".join(names[:_SHOWN_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
