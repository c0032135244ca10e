"""The way to the API server through a proxy that the environment names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from kubernetes.aio.client.configuration import Configuration

from freehold.kube.client import KubeClient
from freehold.kube.errors import Transient
from freehold.kube.resources import SERVICES

# reserved, so that no name server knows it (RFC 2606)
HOST = "cluster.invalid"


class Proxy:
    """A proxy that lets nobody through and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readline()).decode().strip())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    found = Proxy()
    server = await asyncio.start_server(found.take, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield found


async def ask() -> None:
    configuration = Configuration()
    configuration.host = f"https://{HOST}:6443"
    async with KubeClient(configuration) as client:
        with pytest.raises(Transient):
            await client.get(SERVICES, "default", "one")


async def test_it_is_used(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    await ask()
    assert proxy.asked == [f"CONNECT {HOST}:6443 HTTP/1.1"]


async def test_it_is_not_used_for_hosts_that_need_none(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "localhost,.invalid")
    await ask()
    assert proxy.asked == []
