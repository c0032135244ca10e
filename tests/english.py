"""Whether what a model wrote is a story, whatever story: another CPU tells another one."""

from __future__ import annotations

_WORDS = frozenset({"a", "was", "there", "to", "the"})


def is_english(text: str) -> bool:
    """Whether a text is a beginning of a story, rather than noise."""
    words = text.split()
    return len(words) > 10 and bool(_WORDS & set(words))
