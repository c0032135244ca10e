"""Who asked the API server for what, when, and what came of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(slots=True)
class Request:
    """One request; the last three fields are filled in while it goes on.

    Attributes:
        client: Whose port it came to.
        method: HTTP method.
        path: Path and query.
        user_agent: What the client calls itself.
        at: When it arrived, in seconds of ``time.monotonic()``.
        fault: The name of the fault that struck it; "" for none.
        status: The status that the client was given; 0 without one.
        answered: When the server had answered, or the fault had; None where nothing came, so that
            nobody knows whether it was carried out.
    """

    client: str
    method: str
    path: str
    user_agent: str
    at: float
    fault: str = ""
    status: int = 0
    answered: float | None = None

    def give(self, status: int) -> None:
        """Note the answer; 0 for one that the client does not get."""
        self.status, self.answered = status, time.monotonic()

    @property
    def is_write(self) -> bool:
        """Tell whether it asks the server to change something."""
        return self.method in WRITES

    @property
    def is_watch(self) -> bool:
        """Tell whether it is a watch."""
        return re.search(r"[?&]watch=(true|1)(&|$)", self.path) is not None


@dataclass(slots=True)
class Journal:
    """All requests in the order in which they arrived.

    Attributes:
        all: The requests.
    """

    all: list[Request] = field(default_factory=list)

    def requests(
        self,
        *,
        client: str = "",
        method: str = ".*",
        path: str = "",
        status: int | None = None,
        user_agent: str = "",
        watch: bool | None = None,
    ) -> list[Request]:
        """Return the requests that are meant; see ``Rule`` for the first four arguments.

        Args:
            client: The client's name; "" for any.
            method: Regular expression of the whole method.
            path: Regular expression that is searched for in the path and query.
            status: What the client was answered; None for anything.
            user_agent: Regular expression that is searched for in the user agent.
            watch: True for watches only, False for all but watches, None for both.
        """
        return [
            it
            for it in list(self.all)
            if client in ("", it.client)
            and re.fullmatch(method, it.method)
            and re.search(path, it.path)
            and status in (None, it.status)
            and re.search(user_agent, it.user_agent)
            and watch in (None, it.is_watch)
        ]

    def writes(self, *, client: str = "", path: str = "") -> list[Request]:
        """Return the requests that ask to change something."""
        return self.requests(client=client, path=path, method="|".join(sorted(WRITES)))

    def turns(self, path: str = "") -> list[tuple[str, float, float]]:
        """Return who wrote from when to when, in order; one entry for each change of the writer.

        Two writers that never overlap have turns of which each begins after the one before ended.
        A write that was never answered counts as over when it arrived.
        """
        turns: list[tuple[str, float, float]] = []
        for write in self.writes(path=path):
            end = write.at if write.answered is None else write.answered
            if turns and turns[-1][0] == write.client:
                client, begin, last = turns[-1]
                turns[-1] = (client, begin, max(last, end))
            else:
                turns.append((write.client, write.at, end))
        return turns
