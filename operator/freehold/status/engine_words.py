"""The engine's own words, found in a log or a traceback."""

from __future__ import annotations

import re

_ERROR_LINE = re.compile(r"(?:^|\s)([A-Za-z0-9_.]*(?:Error|Exception|Interrupt)): (.+)")
# Words that only pass on an error of another process, announce a traceback, or come of its end.
_WRAPPERS = (
    "RayTaskError",
    "RayActorError",
    "ActorDiedError",
    "RuntimeError: Engine core",
    "RuntimeError: Traceback",
    "RuntimeError: Worker failed with error",
    "RuntimeError: Executor failed",
    "Exception: WorkerProc initialization failed",
    "Exception: Error running callback method",
    "EngineDeadError",
    "BrokenPipeError",
    "ConnectionResetError",
    "EOFError",
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# By pydantic vLLM checks its settings; what is wrong stands on the lines after such a count.
_COUNT = re.compile(r"\d+ validation errors? for \S+$")


def engine_words(text: str) -> str:
    """Return the engine's own error from a log or a traceback: its last telling line, or ""."""
    return telling_words(text) or next(reversed(_errors(text)), "")


def telling_words(text: str) -> str:
    """Return the last error that is more than word of another process's failure, or ""."""
    telling = [line for line in _errors(text) if not line.startswith(_WRAPPERS)]
    return next(reversed(telling), "")


def _errors(text: str) -> list[str]:
    lines = _COLOURS.sub("", text).splitlines()
    found = []
    for index, line in enumerate(lines):
        match = _ERROR_LINE.search(line)
        if match is None:
            continue
        kind, words = match.groups()
        if count := _COUNT.search(words):
            prefix = line[: match.start(1)]
            below = [item.removeprefix(prefix) for item in lines[index + 1 :][:2]]
            words = words[: count.start()] + (_first_detail(below) or count.group())
        found.append(f"{kind.rsplit('.', 1)[-1]}: {words.strip()}"[:1000])
    return found


def _first_detail(lines: list[str]) -> str:
    """Return the first of pydantic's faults: perhaps a line with the field, then the sentence."""
    field = lines.pop(0) if lines and not lines[0].startswith(" ") else ""
    sentence = lines[0].strip().split(" [type=")[0] if lines else ""
    return ": ".join(word for word in (field, sentence.removeprefix("Value error, ")) if word)
