"""Names of head Services, resolved without a cluster's DNS: the stand-in runs outside of it."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Callable

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

_HEAD = re.compile(r"(?P<cluster>[^.]+)-head-svc\.(?P<namespace>[^.]+)\.svc\.cluster\.local")


class ServiceNames(AbstractResolver):
    """Resolves the name of a RayCluster's head Service to its head pod, all others as usual.

    Args:
        head_address: Returns the address of the head pod of a namespace's RayCluster, or "".
    """

    def __init__(self, head_address: Callable[[str, str], str]) -> None:
        self._head_address, self._usual = head_address, ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: There is none.
        """
        found = _HEAD.fullmatch(host)
        if found is None:
            return await self._usual.resolve(host, port, family)
        address = self._head_address(found["namespace"], found["cluster"])
        if not address:
            raise OSError(errno.EHOSTUNREACH, f"{host}: the head has no address yet")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Close nothing."""
