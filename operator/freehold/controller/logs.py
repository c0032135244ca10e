"""Logs: one line a record, as JSON or text, with the object that it is about.

Whatever is logged comes out in this form, kopf's own records too. Only the fields below are
written: what else a library hangs on a record (kopf its settings, the HTTP client its answers) may
be an object of the user's with a secret in it.

====================  =============================================================
``time``              RFC 3339, UTC, milliseconds
``level``             ``DEBUG`` to ``CRITICAL``
``logger``            the logger's name
``message``           the message
``kind``              of the object that it is about, if it is about one
``namespace``         the object's namespace; missing where it has none
``name``              the object's name
``exc_info``          the traceback of an exception
====================  =============================================================
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO, get_args

from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["json", "text"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)

# kopf tells of each event at INFO; the clients write whole answers at DEBUG.
_QUIETER = {
    "kopf": logging.WARNING,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "kubernetes": logging.INFO,
}

_subject: ContextVar[Mapping[str, str] | None] = ContextVar("subject", default=None)


@contextmanager
def about(kind: str, namespace: str, name: str) -> Iterator[None]:
    """Let every record that is logged in here, and in tasks begun in here, name an object."""
    before = _subject.set({"kind": kind, "namespace": namespace, "name": name})
    try:
        yield
    finally:
        _subject.reset(before)


def configure(
    log_format: LogFormat, *, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Send all logs of the process to one stream, in one form, and nowhere else.

    Args:
        log_format: One JSON object a line, or text for people.
        level: What is logged at least; other libraries' chatter stays out at every level.
        stream: None for standard error.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines() if log_format == "json" else _TextLines())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    for name, least in _QUIETER.items():
        logging.getLogger(name).setLevel(max(level, least))


class _JsonLines(JsonFormatter):
    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """Write the fields that are documented, and none that a record happens to bear."""
        log_data["time"] = _time(record)
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = record.message
        log_data |= _object_of(record)
        log_data |= {key: message_dict[key] for key in ("exc_info",) if key in message_dict}


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Write a line for people; only a traceback takes lines of its own."""
        subject = _object_of(record)
        place = "/".join(subject[key] for key in ("namespace", "name") if key in subject)
        about = f" {subject['kind']} {place}" if subject else ""
        # a newline in what others wrote must not pass for a line of ours
        said = json.dumps(record.getMessage(), ensure_ascii=False)[1:-1].replace('\\"', '"')
        line = f"{_time(record)} {record.levelname:<7} {record.name}{about}: {said}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _object_of(record: logging.LogRecord) -> dict[str, str]:
    """Return kind, namespace and name of what a record is about; empty for nothing."""
    # kopf's loggers of objects say it by themselves
    subject = getattr(record, "k8s_ref", None) or _subject.get() or {}
    found = {key: subject.get(key) for key in ("kind", "namespace", "name")}
    return {key: value for key, value in found.items() if value}
