"""What the Hugging Face library's cache holds of one revision of a repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from freehold.api.faults import Fault
from freehold.sources.weight_files import (
    CONFIG,
    INDEX,
    SINGLE,
    WeightFiles,
    read_object,
    weight_files,
)


@dataclass(frozen=True, slots=True)
class HubCache:
    """One revision in the cache.

    Attributes:
        repository: Id of the repository.
        revision: Branch, tag or commit; None for the hub's default.
        folder: Folder of the cache; None for the one under HF_HOME.
    """

    repository: str
    revision: str | None
    folder: Path | None

    def path(self, name: str) -> Path | None:
        """Return the cached file, or None."""
        try:
            found = try_to_load_from_cache(
                self.repository, name, cache_dir=self.folder, revision=self.revision
            )
        except (HFValidationError, OSError):
            return None
        return Path(found) if isinstance(found, str) else None

    def read(self, name: str) -> dict[str, Any] | Fault | None:
        """Return a cached JSON object, its fault, or None where it is not there."""
        path = self.path(name)
        return None if path is None else read_object(path.read_bytes(), str(path))

    def commit(self) -> str | None:
        """Return the commit that the revision meant when it was cached."""
        path = self.path(CONFIG)
        return None if path is None else path.parent.name

    def files(self) -> WeightFiles | None:
        """Return the weight files, or None where neither index nor single file is cached."""
        index = self.read(INDEX)
        if isinstance(index, dict):
            found = weight_files(index, INDEX)
            return None if isinstance(found, Fault) else found
        return WeightFiles((SINGLE,), None) if self.path(SINGLE) else None

    def missing_files(self) -> tuple[str, ...]:
        """Return the files that are needed to serve the model and are not in the cache."""
        files = self.files()
        names = (CONFIG, *(files.names if files else (INDEX,)))
        return tuple(name for name in names if self.path(name) is None)

    def sum_of_sizes(self, names: tuple[str, ...]) -> int | None:
        """Return the bytes of the files, or None where one is not cached."""
        paths = [self.path(name) for name in names]
        if any(path is None for path in paths):
            return None
        return sum(path.stat().st_size for path in paths if path is not None)
