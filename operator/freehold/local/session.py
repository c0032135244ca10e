"""Serving a set of manifests until told to stop: apply, watch, prove, report.

The session is a loop over what Serve says now, not over what happened: a pass reads the whole
state, decides what follows, and can be repeated at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from freehold.errors import EngineFailed, RayUnavailable
from freehold.local.applications import (
    ApplicationState,
    ReplicaState,
    application_state,
    failed_starts,
    merged_config,
    restarts_replicas,
)
from freehold.local.metrics import ModelLoad, read_metrics
from freehold.local.probe import BackgroundProbe
from freehold.local.serve_rest import ServeRest
from freehold.local.workload import Served
from freehold.status.engine_words import engine_words, telling_words

Phase = Literal["Starting", "Loading", "Probing", "Ready", "ScaledToZero", "Stopped", "Failing"]
POLL_SECONDS = 1.0
# Each look costs the dashboard and Serve's controller as much as a few tokens.
SETTLED_POLL_SECONDS = 3.0
METRICS_SECONDS = 4.0
# A model that has been ready and then did not answer is asked again after so long.
ASK_AGAIN_SECONDS = 30.0


@dataclass(slots=True)
class ModelView:
    """What the session knows of one model; it is shown to the user.

    Attributes:
        served: The model, its plan and its application.
        phase: Where it stands.
        since: When the phase began, by the session's clock, in seconds.
        state: What Serve said last.
        load: What its engines said last; None where that is not known.
        tokens_per_second: Tokens generated lately.
        proven: Replicas that have answered, by id.
        asked: Replicas that need not be asked again, whatever they answered.
        workers: Ray's ids of the processes that were replicas, for their output.
        settled: Whether it has ever been ready, or at rest where that was asked for; from then on
            a failure is told and ends nothing.
        words: The engine's own words on a failure.
    """

    served: Served
    phase: Phase = "Starting"
    since: float = 0.0
    state: ApplicationState = field(default_factory=ApplicationState)
    load: ModelLoad | None = None
    tokens_per_second: float = 0.0
    proven: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    settled: bool = False
    words: str = ""


class Session:
    """Serves models on one Ray and knows at every moment how they are.

    Args:
        rest: The Ray's REST API.
        endpoint: Base URL at which Serve answers, without a path.
        metrics: Address of Ray's Prometheus endpoint; None if it cannot be reached, or
            nobody sees the figures.
        logs: Folder with Ray's logs; None on a Ray that is not ours.
        say: Takes a sentence for the user.
        clock: Seconds that only go forward.
        probe: Takes a base URL and a model's name and returns what came instead of a token, or
            None while it still waits for one.
        moved: Called while engines come and go.
        own_address: Takes the process id of a replica and returns the base URL of its own server,
            without a path; None where it cannot be reached past the endpoint.
    """

    def __init__(
        self,
        rest: ServeRest,
        endpoint: str,
        *,
        metrics: str | None,
        logs: Path | None,
        http_options: dict[str, Any] | None,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        probe: Callable[[str, str], str | None] | None = None,
        moved: Callable[[], None] = lambda: None,
        own_address: Callable[[int], str | None] = lambda _: None,
    ) -> None:
        """Take the means; nothing is applied yet."""
        self._rest = rest
        self._endpoint = endpoint
        self._metrics = metrics
        self._logs = logs
        self._http_options = http_options
        self._say = say
        self._clock = clock
        self._probe = probe or BackgroundProbe()
        self._moved = moved
        self._own_address = own_address
        self._replicas: set[tuple[str, str]] = set()
        self._owned: set[str] = set()
        self._generated: dict[str, tuple[float, float]] = {}
        self._next_metrics = clock()
        self.views: dict[str, ModelView] = {}

    def base_url(self, served: Served) -> str:
        """Return the OpenAI base URL of a model."""
        return _openai_url(self._endpoint, served)

    def apply(self, models: Iterable[Served]) -> None:
        """Make the Ray serve these models of ours, and leave everybody else's as they are."""
        wanted = {item.name: item for item in models}
        ours = [item.application for item in wanted.values() if item.application is not None]
        config = merged_config(self._rest.details(), ours, self._owned)
        if self._http_options is not None:
            config["proxy_location"] = "HeadOnly"
            config["http_options"] = self._http_options
        self._owned |= {application["name"] for application in ours}
        self._rest.apply(config)
        self._owned = {application["name"] for application in ours}
        for name, item in wanted.items():
            self._announce(self.views.get(name), item)
        for name in sorted(self.views.keys() - wanted.keys()):
            self._say(f"{name}: removed")
        self.views = {name: self._view(item) for name, item in wanted.items()}

    def _view(self, served: Served) -> ModelView:
        old = self.views.get(served.name)
        if old is not None:
            old.served = served
            return old
        return ModelView(served, since=self._clock())

    def _announce(self, view: ModelView | None, new: Served) -> None:
        if view is None or view.served.application == new.application:
            return
        before, after = view.served.application, new.application
        if before is None or after is None:
            self._say(f"{new.name}: {'starting' if after else 'releasing its hardware'}")
            return
        changed = restarts_replicas(before, after)
        if changed:
            self._say(f"{new.name}: replicas restart, since these changed: {', '.join(changed)}")
            # what still answers is the old engine, until Serve calls the change done
            self._enter(view, "Loading")
        else:
            self._say(f"{new.name}: changed in place, no replica restarts")

    def remove_ours(self) -> None:
        """Take our applications off a Ray that goes on without us."""
        if self._owned:
            self._rest.apply(merged_config(self._rest.details(), [], self._owned))
            self._owned = set()

    def step(self) -> None:
        """Look once at everything and move each model to the phase that it is in.

        Raises:
            EngineFailed: When a model that never answered cannot be brought up.
            RayUnavailable: When Ray does not answer.
        """
        details = self._rest.details()
        loads = self._loads()
        for view in self.views.values():
            served = view.served
            view.state = application_state(details, served.name, served.deployment)
            view.workers |= {replica.worker for replica in view.state.replicas} - {""}
            if loads is not None:
                self._take_load(view, loads.get(served.model.served_name))
            self._advance(view)
        self._tell_moves()

    def _tell_moves(self) -> None:
        """Call ``moved`` while any engine comes or goes, and once more when all is still."""
        replicas = {(r.id, r.state) for view in self.views.values() for r in view.state.replicas}
        if replicas != self._replicas or any(state != "RUNNING" for _, state in replicas):
            self._moved()
        self._replicas = replicas

    def _loads(self) -> dict[str, ModelLoad] | None:
        """Return what the engines say, or None while it is too early to ask again.

        Ray writes its metrics anew for whoever asks, which takes it longer than us to read them.
        """
        if self._metrics is None or self._clock() < self._next_metrics:
            return None
        self._next_metrics = self._clock() + METRICS_SECONDS
        return read_metrics(self._metrics)

    def _take_load(self, view: ModelView, load: ModelLoad | None) -> None:
        view.load = load
        if load is None:
            self._generated.pop(view.served.name, None)
            view.tokens_per_second = 0.0
            return
        now = self._clock()
        then, before = self._generated.get(view.served.name, (now, load.generated))
        if now > then:
            view.tokens_per_second = max(0.0, load.generated - before) / (now - then)
        self._generated[view.served.name] = (now, load.generated)

    def _advance(self, view: ModelView) -> None:
        state = view.state
        running = frozenset(r.id for r in state.replicas if r.state == "RUNNING")
        if view.served.application is None:
            self._enter(view, "Stopped")
        elif state.failed or failed_starts(state):
            self._fail(view)
        elif running and state.status == "RUNNING":
            self._prove(view, running)
        elif state.status == "RUNNING" and _at_zero(view):
            self._enter(view, "ScaledToZero")
        elif view.phase not in ("Ready", "ScaledToZero") or not running:
            if view.phase == "Ready":
                self._say(f"{view.served.name}: no replica answers now; Serve starts another")
            self._enter(view, "Loading" if state.replicas else "Starting")

    def _prove(self, view: ModelView, running: frozenset[str]) -> None:
        """Call a model ready once an engine of it has answered, and ask each that joins it."""
        if not running & view.proven:
            self._ask_endpoint(view, running)
        if running & view.proven:
            self._ask_joined(view, running - view.asked)
            self._enter(view, "Ready")

    def _ask_endpoint(self, view: ModelView, running: frozenset[str]) -> None:
        """Ask the way that users take; of several engines one answers, and nobody knows which."""
        if view.phase == "Failing" and self._clock() - view.since < ASK_AGAIN_SECONDS:
            return
        self._enter(view, "Probing")
        trouble = self._probe(self.base_url(view.served), view.served.model.served_name)
        if trouble is None:
            return
        if trouble:
            log = self._logged_words(view)
            view.words = f"{trouble}; its log says: {log}" if log else trouble
            self._failed(view, f"{view.served.name} runs but does not answer: {view.words}")
            return
        view.proven = running
        view.asked = running if len(running) == 1 else frozenset()

    def _ask_joined(self, view: ModelView, joined: frozenset[str]) -> None:
        """Ask engines at their own addresses, past the endpoint; what is not reached is believed.

        Serve sends them requests meanwhile, so one that does not answer is told and no more.
        """
        for replica in view.state.replicas:
            trouble = self._ask_replica(view.served, replica) if replica.id in joined else None
            if trouble is None:
                continue
            view.asked |= {replica.id}
            if trouble:
                view.proven -= {replica.id}
                self._say(f"{view.served.name}: replica {replica.id} does not answer: {trouble}")
            else:
                view.proven |= {replica.id}

    def _ask_replica(self, served: Served, replica: ReplicaState) -> str | None:
        address = None if replica.pid is None else self._own_address(replica.pid)
        if address is None:
            return ""
        return self._probe(_openai_url(address, served), served.model.served_name)

    def _fail(self, view: ModelView) -> None:
        if view.phase == "Failing":
            return
        message = view.state.message
        view.words = (
            telling_words(message)
            or self._logged_words(view)
            or engine_words(message)
            or " ".join(message.split())[:500]
            or "Serve does not say why"
        )
        rest = "; the replicas that run go on answering" if view.settled else ""
        self._failed(view, f"{view.served.name} does not start: {view.words}{rest}")

    def _failed(self, view: ModelView, sentence: str) -> None:
        """End the session while the model has never been ready; later only say so."""
        if not view.settled:
            raise EngineFailed(sentence)
        self._say(sentence)
        self._enter(view, "Failing")

    def _enter(self, view: ModelView, phase: Phase) -> None:
        view.settled |= phase in ("Ready", "ScaledToZero")
        if view.phase != phase:
            view.phase = phase
            view.since = self._clock()

    def _logged_words(self, view: ModelView) -> str:
        """Return the last telling error from the logs of its replicas, else of its engines.

        An engine is a process behind its replica: what it prints is in the output of the
        replica's worker.
        """
        if self._logs is None:
            return ""
        patterns = [f"serve/replica_{view.served.name}_*.log"]
        patterns += [f"worker-{worker}-*" for worker in sorted(view.workers)]
        for pattern in patterns:
            for path in _newest_first(self._logs.glob(pattern)):
                words = telling_words(path.read_text(errors="replace"))
                if words:
                    return words
        return ""

    def wait_for_ray(
        self, alive: Callable[[], None], seconds: float, stopped: Callable[[], bool]
    ) -> None:
        """Wait until the dashboard answers or the user stops; ``alive`` raises if it never will."""
        end = self._clock() + seconds
        while not stopped():
            alive()
            try:
                self._rest.details()
                return
            except RayUnavailable as error:
                if self._clock() > end:
                    raise RayUnavailable(
                        f"Ray did not start in {seconds:.0f} s: {error}"
                    ) from error
            time.sleep(0.3)


def _openai_url(address: str, served: Served) -> str:
    assert served.application is not None
    return f"{address}{served.application['route_prefix'].rstrip('/')}/v1"


def _at_zero(view: ModelView) -> bool:
    """Return whether no replica is left of a model that may have none."""
    leaving = all(replica.state == "STOPPING" for replica in view.state.replicas)
    return leaving and not view.served.least_replicas


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def all_settled(views: Iterable[ModelView]) -> bool:
    """Return whether every model is ready, or at rest where that was asked for."""
    return all(view.phase in ("Ready", "ScaledToZero", "Stopped") for view in views)
