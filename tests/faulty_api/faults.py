"""What can go wrong with a request, and with which one it does."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong."""

    # whether it also strikes answers that are on their way when it is injected, such as watches
    strikes_open: bool = field(default=False, init=False)


@dataclass(frozen=True, slots=True)
class Answer(Fault):
    """The request does not reach the server; it is answered with a ``Status``.

    Attributes:
        status: The HTTP status.
        reason: The machine-readable reason; "" for the one that API servers give with the status.
        retry_after: Seconds in the header of that name; None without it.
    """

    status: int = 500
    reason: str = ""
    retry_after: int | None = None

    @property
    def body(self) -> dict[str, object]:
        """Return the ``Status`` object."""
        return {
            "apiVersion": "v1",
            "kind": "Status",
            "metadata": {},
            "status": "Failure",
            "reason": self.reason or _REASONS.get(self.status, "Unknown"),
            "message": f"injected fault {self.status}",
            "code": self.status,
        }


@dataclass(frozen=True, slots=True)
class Malformed(Fault):
    """The request does not reach the server; it is answered 200 with half a JSON object."""


@dataclass(frozen=True, slots=True)
class Hang(Fault):
    """The request does not reach the server and is never answered."""


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """The request reaches the server late.

    Attributes:
        seconds: How late.
    """

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class LoseAnswer(Fault):
    """The server carries the request out, and the connection ends before the answer."""


@dataclass(frozen=True, slots=True)
class HoldAnswer(Fault):
    """The server carries the request out, and the answer never comes."""


@dataclass(frozen=True, slots=True)
class Refuse(Fault):
    """The request does not reach the server, and the connection ends; open answers end too."""

    strikes_open: bool = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """The connection ends in the middle of the answer.

    Attributes:
        after: Bytes of the body that come through; an answer that is on its way ends at once.
    """

    after: int = 0
    strikes_open: bool = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """A watch goes silent: its connection stays open and nothing comes any more."""

    strikes_open: bool = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class ExpireWatch(Fault):
    """A watch ends as one whose resource version is too old: with an ERROR event of code 410."""

    strikes_open: bool = field(default=True, init=False)


@dataclass(slots=True)
class Rule:
    """A fault and the requests that it strikes.

    Attributes:
        fault: What happens.
        method: Regular expression of the whole method.
        path: Regular expression that is searched for in the path and query.
        client: The client's name; "" for any.
        watch: True for watches only, False for all but watches, None for both.
        skip: How many requests it lets through yet before it strikes.
        times: How many requests it strikes yet; None for no limit.
        hits: How many it has struck.
    """

    fault: Fault
    method: str = ".*"
    path: str = ""
    client: str = ""
    watch: bool | None = None
    skip: int = 0
    times: int | None = 1
    hits: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strikes(self, *, client: str, method: str, path: str, watch: bool) -> bool:
        """Tell whether a request is struck, and count it."""
        meant = (
            self.client in ("", client)
            and self.watch in (None, watch)
            and re.fullmatch(self.method, method) is not None
            and re.search(self.path, path) is not None
        )
        if not meant:
            return False
        with self._lock:
            if self.times == 0:
                return False
            if self.skip > 0:
                self.skip -= 1
                return False
            if self.times is not None:
                self.times -= 1
            self.hits += 1
            return True

    def remove(self) -> None:
        """Strike no more; what hangs or is silent stays so."""
        with self._lock:
            self.times = 0
