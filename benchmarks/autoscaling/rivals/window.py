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

    @property
    def mean(self) -> float:
        """Return the mean of the samples."""
        return sum(value for _, value in self._samples) / len(self._samples)

    @property
    def most(self) -> float:
        """Return the greatest sample."""
        return max(value for _, value in self._samples)


class Stabilization:
    """Up at once, down to the most that was recommended in the last seconds, as an HPA does it."""

    def __init__(self, seconds: float) -> None:
        """Begin with nothing recommended."""
        self._seconds = seconds
        self._recommended: Window | None = None

    def settled(self, now: float, number: int, wanted: int) -> int:
        """Return what a recommendation comes to.

        Args:
            now: Seconds from the beginning.
            number: The recommendation.
            wanted: What there is; at first it counts as recommended.
        """
        if self._recommended is None:
            self._recommended = Window(self._seconds)
            self._recommended.add(now, wanted)
        self._recommended.add(now, number)
        return number if number >= wanted else min(wanted, int(self._recommended.most))
