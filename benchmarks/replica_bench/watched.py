"""What a model and its clients look like, second by second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.cluster.load import Load
from tests.cluster.model import Model
from tests.repeating import repeated

_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        second: Since the beginning.
        asked: Requests under way, at every client together.
        desired: Replicas that Serve wants.
        ready: Replicas that answer.
        pods: Worker pods that are not going away.
    """

    second: float
    asked: int
    desired: int
    ready: int
    pods: int


@dataclass(frozen=True)
class Answer:
    """One answered request.

    Attributes:
        second: When it came back, since the beginning.
        latency: Seconds that it took.
    """

    second: float
    latency: float


@dataclass
class Watched:
    """A run as it goes on.

    Attributes:
        model: The model.
        began: On the monotonic clock.
        loads: Clients, one stage after the other.
        stages: Names of what was done, with the second at which it began.
        samples: What was seen.
    """

    model: Model
    began: float = field(default_factory=time.monotonic)
    loads: list[Load] = field(default_factory=list)
    stages: list[tuple[float, str]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def second(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def begin(self, stage: str) -> None:
        """Take down that a stage begins now."""
        self.stages.append((self.second, stage))

    @property
    def answers(self) -> list[Answer]:
        """All answers, in the order in which they came."""
        ended = [it for load in self.loads for it in load.ended if it.status == 200]
        found = [Answer(it.began + it.seconds - self.began, it.seconds) for it in ended]
        return sorted(found, key=lambda it: it.second)

    def look(self) -> None:
        """Take one sample."""
        status = self.model.status
        under_way = sum(load.sent - len(load.ended) for load in self.loads)
        replicas = [int(status.get(it) or 0) for it in ("desiredReplicas", "readyReplicas")]
        pods = len(self.model.pods("worker"))
        self.samples.append(Sample(self.second, under_way, replicas[0], replicas[1], pods))


@contextmanager
def watching(model: Model) -> Iterator[Watched]:
    """Inside, a sample is taken every second."""
    found = Watched(model)
    with repeated(found.look, _EVERY_SECONDS):
        yield found
