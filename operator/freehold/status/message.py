"""Sentences for conditions: one printable line, never longer than the status has room for."""

from __future__ import annotations

import re

from freehold.api.status import LONGEST_MESSAGE
from freehold.status.engine_words import telling_words

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def sentence(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Return a text as one line of at most ``longest`` characters, cut with an ellipsis."""
    # what is far beyond the limit need not be looked at
    text = _COLOURS.sub("", text[: 8 * longest])
    plain = " ".join("".join(it if it.isprintable() else " " for it in text).split())
    return plain if len(plain) <= longest else f"{plain[: longest - 1].rstrip()}…"


def words_of(text: str) -> str:
    """Return the telling line of what Serve says, which may be a traceback of many lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return telling_words(text) or (lines[-1] if lines else "Serve gives no reason")


def full_stop(text: str) -> str:
    """Return a text that ends as a sentence does, also where blanks follow it."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def agreeing(number: int, one: str, more: str) -> str:
    """Return the form of a verb that agrees with a number."""
    return one if number == 1 else more


def listed(names: list[str], most: int = 3) -> str:
    """Return names with commas, the first few of them and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
