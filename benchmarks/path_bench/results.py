"""What a run of the benchmark found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from path_bench.rounds import Figures

# Rounds without HAProxy, beside others through it: no path of its own.
_BYPASS = "bypass"


@dataclass(frozen=True, slots=True)
class Cell:
    """The rounds of one path with one number of streams; the discarded one is not among them.

    Attributes:
        path: The path.
        streams: Requests under way at once.
        figures: One of each round.
        beside: Tokens a second of the reference in the same rounds; empty where there was none.
    """

    path: str
    streams: int
    figures: list[Figures]
    beside: list[float]


@dataclass(slots=True)
class ModelResult:
    """All figures of one model.

    Attributes:
        model: Its served name.
        first_token: Seconds from launch to the first token, by path.
        cells: One for each path and number of streams.
    """

    model: str
    first_token: dict[str, float] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    def add(self, path: str, streams: int, figures: Figures, beside: Figures | None = None) -> None:
        """Add a round, with what the reference did in it."""
        cell = self.find(path, streams)
        if cell is None:
            cell = Cell(path, streams, [], [])
            self.cells.append(cell)
        cell.figures.append(figures)
        if beside is not None:
            cell.beside.append(beside.throughput)

    def find(self, path: str, streams: int) -> Cell | None:
        """Return a cell, or None if it was not measured."""
        return next((c for c in self.cells if (c.path, c.streams) == (path, streams)), None)

    def cell(self, path: str, streams: int) -> Cell:
        """Return a cell that was measured."""
        found = self.find(path, streams)
        assert found is not None
        return found

    def paths(self) -> list[str]:
        """Return the paths in the order in which they were measured."""
        return [p for p in dict.fromkeys(c.path for c in self.cells) if p != _BYPASS]

    def streams(self) -> list[int]:
        """Return the numbers of streams, the least first."""
        return sorted({cell.streams for cell in self.cells})


@dataclass(frozen=True, slots=True)
class WayCosts:
    """What the parts of Freehold's way cost where nothing is computed.

    Attributes:
        chunk: CPU microseconds for each chunk, by way.
        guard: Microseconds that the guard adds to each request; it touches no chunk.
    """

    chunk: Mapping[str, float]
    guard: float
