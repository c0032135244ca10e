"""A whole control plane of real servers, for a test or for an afternoon of development."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.control_plane import build
from tests.control_plane.cluster import Cluster
from tests.control_plane.commands import Layout, Place
from tests.control_plane.processes import Processes, Server
from tests.ports import free_port

# It takes five, and minutes beside engines that use all cores.
_API_SECONDS = 300.0
# Go's collector runs less often: these servers are small, and tests wait for their cores.
_THRIFTY = {"GOGC": "400"}


@dataclass
class ControlPlane:
    """etcd, API server, controller manager, scheduler and kwok, as processes of this machine.

    A context manager; leaving it stops all and removes the folder. A failed start, Ctrl-C and
    ``kill -9`` of this process end the same way.

    Attributes:
        simulate_nodes: Whether kwok runs.
        audit: Whether the API server logs what service accounts ask to :attr:`audit_log`.
        place: Says where the servers run, given what ends them; on this machine unless told.
        processes: All that runs for it, once it is started.
    """

    simulate_nodes: bool = True
    audit: bool = False
    place: Callable[[Processes], Place] = lambda _: Place()
    processes: Processes = field(init=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Build what is not built, start all servers and wait until they answer.

        Raises:
            BuildFailed: A tool does not build.
            ServerFailed: A server ended or did not get ready; carries the end of its log.
        """
        build.ensure()
        self.processes = Processes.begin()
        self._port = _reserve_port()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        place = self.place(self.processes)
        self.layout = Layout(self.folder, self._port.getsockname()[1], self.audit, place)
        tokens = {name: secrets.token_hex(16) for name in self.layout.users}
        self._token = tokens["admin"]
        self.layout.write(tokens)
        self._serve("etcd", self.layout.etcd())
        self._serve("kube-apiserver", self.layout.api_server())
        self._wait_for_api()
        self._serve("kube-controller-manager", self.layout.controller_manager())
        self._serve("kube-scheduler", self.layout.scheduler())
        if self.simulate_nodes:
            self._serve("kwok", self.layout.kwok())
        # made by the controller manager, and without it no pod is admitted
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.servers["kube-controller-manager"].ready_when(lambda: self._status(account) == 200)

    def _serve(self, name: str, command: Sequence[str | Path]) -> None:
        self.spawn(name, command, {**os.environ, **_THRIFTY})

    def stop(self) -> None:
        """Kill all servers and remove the folder. Harmless when done twice."""
        self.processes.end()
        self._port.close()

    @property
    def folder(self) -> Path:
        """The folder of data, kubeconfigs and logs; gone after :meth:`stop`."""
        return self.processes.folder

    @property
    def servers(self) -> Mapping[str, Server]:
        """The processes by name, those of :meth:`spawn` among them."""
        return self.processes.servers

    @property
    def cluster(self) -> Cluster:
        """The cluster, as its administrator sees it."""
        return Cluster(self.layout.kubeconfig())

    @property
    def url(self) -> str:
        """The API server's address."""
        return self.layout.url

    @property
    def audit_log(self) -> Path:
        """The audit log: a JSON object a line; empty unless :attr:`audit`."""
        return self.layout.audit_log

    def log(self, name: str) -> Path:
        """The log file of a server."""
        return self.servers[name].log

    def spawn(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> Server:
        """Start one more process that ends with this control plane and runs where it runs.

        Args:
            name: Its name, not yet used here; its log is ``<folder>/<name>.log``.
            command: Program and arguments.
            environment: All of its environment; this process's own unless told.
        """
        return self.processes.start(name, [*self.layout.place.entry, *command], environment)

    @property
    def api_server(self) -> Server:
        """The API server's process."""
        return self.servers["kube-apiserver"]

    def restart_api_server(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the API server and start it on the same port; returns when it answers.

        A crash takes 2 s; ``SIGTERM`` takes 10 s more, since it waits for open watches.
        """
        with self.api_server_stopped(number):
            pass

    @contextmanager
    def api_server_stopped(self, number: signal.Signals = signal.SIGKILL) -> Iterator[None]:
        """Inside, nobody listens on the API server's port; afterwards it answers again."""
        self.api_server.stop(number)
        try:
            yield
        finally:
            self.api_server.start()
            self._wait_for_api()

    @contextmanager
    def api_server_hanging(self) -> Iterator[None]:
        """Inside, the API server takes connections and requests and answers none."""
        self.api_server.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.api_server.send(signal.SIGCONT)
            self._wait_for_api()

    def _wait_for_api(self) -> None:
        self.api_server.ready_when(lambda: self._status("/readyz") == 200, _API_SECONDS)

    def _status(self, path: str) -> int:
        """Return the HTTP status of a request; 0 while nobody answers."""
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(self.url + path, headers=headers)
        # no proxy of the environment stands between a test and a server of this machine
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_unverified())
        )
        try:
            with opener.open(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0


def _reserve_port() -> socket.socket:
    """Return a socket that holds a free port and shares it with servers that ask to share.

    As long as it is open no other process gets the port: not a second control plane that starts
    at the same moment, and nobody while the API server is stopped.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", free_port()))
    return holder


def _unverified() -> ssl.SSLContext:
    # asked before the server has written its certificate
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
