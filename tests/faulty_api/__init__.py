"""A way to a real API server that fails on demand and keeps a journal of who asked for what.

It stands between clients and the server as a plain HTTP/1.1 proxy. Everything that it lets through
is the real server's; only the faults are made up. Each client has a port of its own, so that the
journal and the faults tell two operators apart that have the same credentials and user agent.
Upgraded connections (``kubectl exec``, ``port-forward``) are not let through.
"""

from tests.faulty_api.faults import (
    Answer,
    Cut,
    Delay,
    ExpireWatch,
    Fault,
    Hang,
    HoldAnswer,
    LoseAnswer,
    Malformed,
    Refuse,
    Rule,
    Stall,
)
from tests.faulty_api.journal import Journal, Request
from tests.faulty_api.server import FaultyApi

__all__ = [
    "Answer",
    "Cut",
    "Delay",
    "ExpireWatch",
    "Fault",
    "FaultyApi",
    "Hang",
    "HoldAnswer",
    "Journal",
    "LoseAnswer",
    "Malformed",
    "Refuse",
    "Request",
    "Rule",
    "Stall",
]
