"""Progress of a long command: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

TERMINAL_INTERVAL = 0.2
PLAIN_INTERVAL = 5.0
GREEN, DIM, RESET = "\x1b[32m", "\x1b[2m", "\x1b[0m"
CLEAR = "\r\x1b[K"
SPINNER = "|/-\\"


class Step:
    """One running step; `advance` counts work done when the amount of work is known."""

    def __init__(self, label: str, total: int | None) -> None:
        """Start the clock; `total` is in any unit that `advance` is called with."""
        self.label = label
        self.total = total
        self.done = 0
        self.started = time.monotonic()

    def advance(self, amount: int) -> None:
        """Add `amount` to the work done."""
        self.done += amount

    def text(self) -> str:
        """The label, the share done (when known) and the seconds since the start."""
        share = f" {100 * self.done // self.total:3d}%" if self.total else ""
        return f"{self.label}{share} ({time.monotonic() - self.started:.0f} s)"


class Progress:
    """Reports steps to a stream, and keeps reporting while a step runs.

    A terminal gets one line that is redrawn; anything else (a file, CI, `TERM=dumb`) gets whole
    lines without control characters. `NO_COLOR` (https://no-color.org) turns colour off.
    """

    def __init__(
        self, steps: int, stream: TextIO | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Prepare to number `steps` steps; the defaults are standard error and this process."""
        settings = os.environ if env is None else env
        self.stream = sys.stderr if stream is None else stream
        self.steps = steps
        self.count = 0
        self.moving = self.stream.isatty() and settings.get("TERM") != "dumb"
        self.colour = self.moving and not settings.get("NO_COLOR")

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Show a step from its start to its end; a step that raises is not called done."""
        self.count += 1
        step = Step(f"[{self.count}/{self.steps}] {title}", total)
        stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(step, stop), daemon=True)
        self._begin(step)
        ticker.start()
        try:
            yield step
        except BaseException:
            self._end_ticker(stop, ticker)
            self._clear_line()
            raise
        self._end_ticker(stop, ticker)
        self._finish(step)

    def say(self, text: str) -> None:
        """Print one line that belongs to no step."""
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def _begin(self, step: Step) -> None:
        if not self.moving:
            self.say(f"{step.label} ...")

    def _tick(self, step: Step, stop: threading.Event) -> None:
        """Redraw until told to stop, so that a step of one long call is seen to be alive."""
        turn = 0
        while not stop.wait(TERMINAL_INTERVAL if self.moving else PLAIN_INTERVAL):
            if self.moving:
                spin = self._paint(SPINNER[turn % len(SPINNER)], DIM)
                self._write(f"{CLEAR}{spin} {step.text()}")
            else:
                self.say(f"{step.text()} ...")
            turn += 1

    def _end_ticker(self, stop: threading.Event, ticker: threading.Thread) -> None:
        stop.set()
        ticker.join()

    def _clear_line(self) -> None:
        if self.moving:
            self._write(CLEAR)

    def _finish(self, step: Step) -> None:
        self._clear_line()
        seconds = time.monotonic() - step.started
        mark = self._paint("done", GREEN)
        self.say(f"{step.label}: {mark} in {seconds:.1f} s")

    def _paint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{RESET}" if self.colour else text
