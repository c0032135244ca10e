"""A fault is one thing wrong with an input, told so that its author can mend it.

Every layer that judges an input (manifest, engine arguments, Serve config) answers with faults,
all of them at once and in the order of the file. Nothing here reads or prints.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Cause(StrEnum):
    """What kind of fault it is, for who must act differs."""

    VALUE = "a value that is not allowed"
    ACCELERATOR = "an accelerator class that is not known"
    MODEL = "a model that is not there, or is none that can be planned"
    ACCESS = "a model that these credentials do not open"
    UNREACHABLE = "a source that does not answer; it may later"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is, what was found there, what is allowed there.

    Attributes:
        path: Field path from the root of the document, like ``spec.hardware.candidates[0].name``.
        found: What stands there now, as the author wrote it.
        allowed: What may stand there.
        hint: What to do, where that is not plain from ``allowed``.
        line: Line in the source file, counted from 1; None when there is no file.
        cause: What kind of fault it is.
    """

    path: str
    found: str
    allowed: str
    hint: str = ""
    line: int | None = None
    cause: Cause = Cause.VALUE

    def at_line(self, line: int | None) -> Fault:
        """Return this fault with the source line it belongs to."""
        return replace(self, line=line)

    def __str__(self) -> str:
        """Return the sentence that is shown to the author."""
        where = self.path or "the document"
        text = f"{where}: found {self.found}; allowed: {self.allowed}"
        return f"{text}. {self.hint}" if self.hint else text


def counted(number: int, what: str) -> str:
    """Return a number with what is counted, in the singular for one."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def nearest(word: str, known: Iterable[str], limit: int = 3, cutoff: float = 0.5) -> list[str]:
    """Return the known words most like ``word``, best first; used for "did you mean".

    Args:
        word: What was written.
        known: What may be written.
        limit: Most words to return.
        cutoff: Least likeness, 0 to 1. Of hundreds of words some are always half alike.
    """
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=limit, cutoff=cutoff)
    return [by_folded[name] for name in close]


def unknown_name(path: str, name: str, known: Iterable[str], what: str = "field") -> Fault:
    """Return the fault of a name that is not among the known ones, with the nearest of them."""
    names = sorted(known)
    close = nearest(name, names)
    hint = f"Did you mean {' or '.join(close)}?" if close else ""
    return Fault(path=path, found=f"unknown {what} {name!r}", allowed=", ".join(names), hint=hint)
