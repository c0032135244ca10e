"""What ``freehold run`` shows while it serves: sentences, and a table that moves on a terminal."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from freehold.local.endpoint_key import KEY_VARIABLE
from freehold.local.session import ModelView, Phase, Session

_WORDS: dict[Phase, str] = {
    "Starting": "building the application",
    "Loading": "loading the engine",
    "Probing": "waiting for its first token",
    "Ready": "ready",
    "ScaledToZero": "ready, at zero replicas until a request comes",
    "Stopped": "no replicas wanted",
    "Failing": "failing",
}
_STYLES: dict[Phase, str] = {"Ready": "green", "ScaledToZero": "green", "Failing": "red"}
_HEARTBEAT_SECONDS = 20.0


class LiveView:
    """Tells the user how the models are; plain lines where output is no terminal."""

    def __init__(self, *, loads: bool = True) -> None:
        """Open the console on standard output.

        Args:
            loads: Whether anybody tells how busy the engines are.
        """
        self._console = Console(highlight=False)
        self._loads = loads
        self._live: Live | None = None
        self._told: dict[str, tuple[Phase, float]] = {}

    @property
    def shows_load(self) -> bool:
        """Return whether somebody sees the figures of load: plain lines have none."""
        return self._loads and self._console.is_interactive

    def say(self, sentence: str) -> None:
        """Print a sentence above whatever moves."""
        # never broken into lines: what is printed must work when it is pasted
        self._console.print(Text(sentence), soft_wrap=True)

    def show(self, views: Iterable[ModelView]) -> None:
        """Show how every model is now."""
        models = list(views)
        if not self._console.is_interactive:
            for view in models:
                self._tell(view)
            return
        if self._live is None:
            # drawn when there is news alone: the cores belong to the engines
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(Group(*self._moving(models)), refresh=True)

    def _tell(self, view: ModelView) -> None:
        """Print a line when a model enters a phase, and now and then while it stays in one."""
        now = time.monotonic()
        phase, when = self._told.get(view.served.name, (None, 0.0))
        waits = view.phase in ("Starting", "Loading", "Probing")
        if phase == view.phase and not (waits and now - when >= _HEARTBEAT_SECONDS):
            return
        self._told[view.served.name] = (view.phase, now)
        self.say(
            f"{view.served.name}: {_WORDS[view.phase]} ({now - view.since:.0f} s){_hint(view)}"
        )

    def _moving(self, models: list[ModelView]) -> Iterable[RenderableType]:
        table = Table(box=None, pad_edge=False)
        table.add_column("MODEL")
        table.add_column("STATE")
        for name in ("FOR", "REPLICAS", "RUNNING", "QUEUED", "TOKENS/S"):
            table.add_column(name, justify="right")
        for view in models:
            table.add_row(
                view.served.name,
                Text(_WORDS[view.phase], style=_STYLES.get(view.phase, "")),
                f"{time.monotonic() - view.since:.0f} s",
                f"{view.state.running}/{view.state.target}",
                *_load(view),
            )
        yield table
        if any(view.phase in ("Starting", "Loading", "Probing") for view in models):
            yield Spinner("dots", text=Text("Ctrl-C stops", style="dim"))
        else:
            yield Text("Ctrl-C stops", style="dim")

    def endpoints(self, session: Session, asks_for_key: bool) -> None:
        """Print where each model answers, and a line to paste."""
        key = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if asks_for_key else ""
        for view in session.views.values():
            if view.served.application is None:
                continue
            url = session.base_url(view.served)
            name = view.served.model.served_name
            body = f'{{"model": "{name}", "prompt": "Once upon a time", "max_tokens": 40}}'
            self.say(f"\n{view.served.name} answers at {url}\n")
            self.say(
                f"  curl {url}/completions -H 'Content-Type: application/json'{key} \\\n"
                f"    -d {shlex.quote(body)}\n"
            )

    def stop(self, sentence: str) -> None:
        """Stop moving and say what happens now."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self.say(sentence)


def _load(view: ModelView) -> tuple[str, str, str]:
    """Return the figures of load; a dash is what nobody knows, a zero is one that was told."""
    load = view.load
    if load is None:
        return ("-", "-", "-")
    return f"{load.running:.0f}", f"{load.waiting:.0f}", f"{view.tokens_per_second:.0f}"


def _hint(view: ModelView) -> str:
    """Return what Serve says of a model that takes long, such as that nothing can be scheduled."""
    words = view.state.message.strip().splitlines()
    return f": {words[0][:160]}" if words and view.phase == "Loading" else ""
