"""Lines with a label in front, wrapped to the reader's width with a hanging indent."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

_MARGIN = 2
_GAP = 2


@dataclass(frozen=True, slots=True)
class Page:
    """Writes rows to a console.

    Attributes:
        console: Where to; its width is where lines are wrapped.
        shaded: Whether block characters can be shown.
    """

    console: Console
    shaded: bool

    def title(self, text: str, style: str = "bold") -> None:
        """Write a line that stands over what follows."""
        self._write(Text(text, style))

    def row(self, label: str, text: str | Text, label_width: int, style: str = "") -> None:
        """Write a label and its text, which keeps to its column when it is wrapped."""
        body = text if isinstance(text, Text) else Text(text)
        column = _MARGIN + label_width + _GAP
        wrapped = body.wrap(self.console, max(self.console.width - column, 20))
        for i, line in enumerate(wrapped):
            head = label if i == 0 else ""
            line.rstrip()
            lead = Text(" " * _MARGIN + head.ljust(label_width) + " " * _GAP)
            lead.stylize(style, _MARGIN, _MARGIN + len(head))
            self._write(Text.assemble(lead, line))

    def gap(self) -> None:
        """Write an empty line."""
        self._write(Text())

    def _write(self, line: Text) -> None:
        line.rstrip()
        self.console.print(line, soft_wrap=True)


def can_shade(target: Console) -> bool:
    """Return whether a console's reader sees block characters: a terminal in UTF-8."""
    return target.is_terminal and target.encoding.lower().replace("-", "") == "utf8"
