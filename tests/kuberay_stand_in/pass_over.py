"""How a pass over a RayCluster ends before its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.kuberay_stand_in.api import ApiError


class NotYet(Exception):
    """The rest of a pass has to wait for another one.

    Args:
        reason: Reason of the condition ReplicaFailure, if a pod could not be made.
        message: What the API server said.
    """

    def __init__(self, reason: str = "", message: str = "") -> None:
        super().__init__(reason, message)
        self.reason, self.message = reason, message


@asynccontextmanager
async def creating(reason: str) -> AsyncIterator[None]:
    """Make a refusal of the API server one that the status tells of."""
    try:
        yield
    except ApiError as error:
        raise NotYet(reason, f"{reason}\n{error.message}") from error
