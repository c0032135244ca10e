"""The real API server: its address, and connections with and without the kubeconfig's rights."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration


class Upstream:
    """Connections to the server that a kubeconfig names.

    A request that bears credentials of its own is not given the kubeconfig's: the server would take
    the client certificate first, and everybody would be the administrator.

    Attributes:
        server: The server's URL.
    """

    def __init__(self, server: str, own: aiohttp.ClientSession, other: aiohttp.ClientSession):
        self.server = server
        self._own = own
        self._other = other

    @classmethod
    async def connect(cls, kubeconfig: Path) -> Upstream:
        """Read a kubeconfig; connections are made when they are needed."""
        found = Configuration()
        await config.load_kube_config(config_file=str(kubeconfig), client_configuration=found)
        auth = (await found.auth_settings()).get("BearerToken")
        token = {"Authorization": str(auth["value"])} if auth else {}
        return cls(
            found.host.rstrip("/"),
            own=_session(_tls(found, found.cert_file), token),
            other=_session(_tls(found, None), {}),
        )

    def session(self, headers: Mapping[str, str]) -> aiohttp.ClientSession:
        """Return the connections for a request with these headers."""
        bears = any(name.lower() == "authorization" for name in headers)
        return self._other if bears else self._own

    async def close(self) -> None:
        """End all connections."""
        await self._own.close()
        await self._other.close()


def _tls(found: Configuration, certificate: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=found.ssl_ca_cert)
    if not found.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, found.key_file)
    return context


def _session(tls: ssl.SSLContext, headers: Mapping[str, str]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=0),
        headers=headers,
        # hand on what the client asked for, and what the server said, byte for byte
        auto_decompress=False,
        skip_auto_headers=["Accept", "Accept-Encoding", "User-Agent", "Content-Type"],
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )
