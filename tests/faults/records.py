"""What became of each fault, kept in a file so that a run goes on where the last one stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.installation import ROOT

RESULTS = Path(__file__).with_name("results.json")
# What a result depends on; a record of another state of it is made again.
_PRODUCT = ("operator", "charts", "crds")


@dataclass(frozen=True)
class Record:
    """One fault, as it went.

    Attributes:
        fault: What was done, in a sentence.
        seen: What Ready, and Stalled where it was True, said in turn.
        told: The message that names the cause; "" where there was none to tell.
        sent: Requests that were sent from before the fault to after it; None without load.
        lost: Those that were not answered.
        lost_to: What their clients saw, each once.
        silence: Longest time from the fault on in which no request was answered, in seconds.
        ready_after: Seconds from the fault until Ready was True for good; None where it never left.
        versions: What ran, by name.
        date: When, as YYYY-MM-DD.
        product: Digest of what was tested.
    """

    fault: str
    seen: list[str]
    told: str
    sent: int | None
    lost: int | None
    lost_to: list[str]
    silence: float | None
    ready_after: float | None
    versions: dict[str, str]
    date: str
    product: str


@dataclass
class Records:
    """All records by the test that made them.

    Attributes:
        path: The file.
        by_test: The records.
    """

    path: Path = RESULTS
    by_test: dict[str, Record] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = RESULTS) -> Records:
        """Read the file, which need not exist."""
        data = json.loads(path.read_text()) if path.exists() else {}
        return cls(path, {name: Record(**it) for name, it in data.items()})

    def done(self, test: str, product: str) -> bool:
        """Whether a test has its record of this product."""
        return test in self.by_test and self.by_test[test].product == product

    def keep(self, test: str, record: Record) -> None:
        """Write a record into the file, at once."""
        self.by_test[test] = record
        data = {name: asdict(it) for name, it in sorted(self.by_test.items())}
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(data, indent=1) + "\n")
        draft.replace(self.path)


def product_digest(root: Path = ROOT) -> str:
    """Return a digest of the files that are the product."""
    found = hashlib.sha256()
    for path in sorted(_files(root)):
        found.update(f"{path.relative_to(root)}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:12]


def _files(root: Path) -> Iterable[Path]:
    for folder in _PRODUCT:
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
