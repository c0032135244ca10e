"""What rules remember: samples of the last seconds, and the greatest recommendation of them."""

from __future__ import annotations

from collections import deque


class Window:
    """Samples with their times, as long as they are young enough."""

    def __init__(self, seconds: float) -> None:
        """Begin empty."""
        self._seconds = seconds
        self._samples: deque[tuple[float, float]] = deque()

    def add(self, now: float, value: float) -> None:
        """Add a sample and forget old ones."""
        self._samples.append((now, value))
        while self._samples[0][0] <= now - self._seconds:
            self._samples.popleft()

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self._samples)

    @property
    def mean(self) -> float:
        """Return the mean of the samples."""
        return sum(value for _, value in self._samples) / len(self._samples)

    @property
    def most(self) -> float:
        """Return the greatest sample."""
        return max(value for _, value in self._samples)
