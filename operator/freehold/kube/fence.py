"""What a process may still write: nothing once it does not surely lead, and nothing beyond that."""

from __future__ import annotations

from collections.abc import Callable

from freehold.kube.errors import NotLeading


def seconds_to_write(most: float, lease_seconds: Callable[[], float] | None) -> float:
    """Return how long a write may take: none outlives the lease.

    Args:
        most: Seconds that it may take in any case.
        lease_seconds: For how long this process surely still leads; None to write always.

    Raises:
        NotLeading: The lease is not held; nothing is to be sent.
    """
    if lease_seconds is None:
        return most
    left = lease_seconds()
    if left <= 0:
        raise NotLeading("the lease is not held by this process")
    return min(most, left)
