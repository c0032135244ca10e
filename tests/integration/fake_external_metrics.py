"""A fake of what brings metrics from elsewhere into a cluster, such as KEDA or an adapter."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.node.certificates import Authority

_GROUP, _VERSION = "external.metrics.k8s.io", "v1beta1"
_NAME = "fake-external-metrics"


@dataclass
class FakeExternalMetrics:
    """Metrics by name, the same in every namespace."""

    values: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def registered(self, cluster: Cluster, folder: Path) -> Iterator[None]:
        """Answer for the API of external metrics of a cluster whose API server runs here.

        Args:
            cluster: Which one.
            folder: Where certificates may be written.
        """
        with _serving(self.values, folder) as port:
            cluster.apply(*_registration(port))
            try:
                yield
            finally:
                cluster.kubectl("delete", "apiservice", f"{_VERSION}.{_GROUP}")
                cluster.kubectl("delete", "service", _NAME, "-n", "default")


def _registration(port: int) -> list[dict[str, Any]]:
    """Return what leads the API server to a port of its own machine."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _NAME, "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    api = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{_VERSION}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "version": _VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": _NAME, "namespace": "default", "port": port},
        },
    }
    return [service, api]


@contextmanager
def _serving(values: dict[str, int], folder: Path) -> Iterator[int]:
    """Serve the API over TLS, whose other end verifies nothing, and yield its port."""
    found = Authority.begin(folder / "metrics").client("metrics", "metrics", "tests")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found.certificate, found.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(values))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(values: dict[str, int]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("?")[0].rpartition("/")[2]
            known = name in values or name == _VERSION
            body = json.dumps(_items(name, values[name]) if name in values else _RESOURCES).encode()
            self.send_response(200 if known else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


_RESOURCES = {"kind": "APIResourceList", "groupVersion": f"{_GROUP}/{_VERSION}", "resources": []}


def _items(name: str, value: int) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": f"{_GROUP}/{_VERSION}",
        "items": [{"metricName": name, "timestamp": now, "value": str(value)}],
    }
