"""A real node on a control plane of real servers: what is scheduled there runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.control_plane import build
from tests.control_plane.cluster import holds
from tests.control_plane.commands import Place
from tests.control_plane.pinned import MODULES, NODE_MODULES
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import Processes
from tests.node.agents import NODE, Agents, Mount
from tests.node.certificates import Authority
from tests.node.images import Image
from tests.node.machine import ADDRESS, SERVICE_RANGE, Machine, begin_machine

_READY_SECONDS = 120.0
_ENFORCES = "Starting network policy controller full sync"
_USERS = {
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", ""),
    "coredns": ("coredns", "system:masters"),
    "kube-router": ("kube-router", "system:masters"),
}


@dataclass
class RealNode:
    """A control plane with one real node on it, in a machine inside this one.

    A context manager; leaving it leaves nothing behind, and neither does ``kill -9``.

    Attributes:
        mounts: Folders of this machine that every container has, read-only.
        images: What its containerd is given.
    """

    mounts: Sequence[Mount] = ()
    images: Iterable[Image] = ()
    machine: Machine = field(init=False)
    plane: ControlPlane = field(init=False)

    def __enter__(self) -> RealNode:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.plane.stop()

    def start(self) -> None:
        """Start everything, and wait until the node is ready.

        Raises:
            NodeUnfit: This machine cannot carry a node.
            ServerFailed: Something did not start.
        """
        build.ensure((*MODULES, *NODE_MODULES))
        self.plane = ControlPlane(simulate_nodes=False, place=self._place)
        self.plane.start()
        try:
            self._start_agents()
        except BaseException:
            self.plane.stop()
            raise

    def _place(self, processes: Processes) -> Place:
        """Make the machine inside, and say how a control plane runs there."""
        self.machine = begin_machine(processes)
        self._authority = Authority.begin(processes.folder / "authority")
        client = self._authority.client("kubelet-client", "api-server", "system:masters")
        return Place(
            address=ADDRESS,
            service_range=SERVICE_RANGE,
            entry=self.machine.entry,
            users=_USERS,
            api_server=(
                f"--client-ca-file={self._authority.certificate}",
                f"--kubelet-client-certificate={client.certificate}",
                f"--kubelet-client-key={client.key}",
                "--kubelet-preferred-address-types=InternalIP",
            ),
        )

    def _start_agents(self) -> None:
        plane = self.plane
        agents = Agents(plane.folder, self.machine.cgroup)
        spec = self.machine.run("ctr", "oci", "spec")
        containerd = plane.spawn("containerd", agents.containerd(spec, self.mounts))
        containerd.ready_when(agents.socket.exists)
        for image in self.images:
            self._import(agents, image)
        proxy = plane.layout.kubeconfig("kube-proxy")
        plane.spawn("kube-proxy", agents.kube_proxy(proxy))
        plane.spawn("coredns", agents.coredns(plane.layout.kubeconfig("coredns")))
        kubelet = agents.kubelet(plane.layout.kubeconfig("kubelet"), self._authority.certificate)
        plane.spawn("kubelet", kubelet).ready_when(self.is_ready, _READY_SECONDS)
        # it asks for its node once, and ends where there is none
        router = agents.kube_router(plane.layout.kubeconfig("kube-router"))
        plane.spawn("kube-router", router).says(_ENFORCES)

    def _import(self, agents: Agents, image: Image) -> None:
        ctr = ("ctr", f"--address={agents.socket}", "--namespace=k8s.io")
        self.machine.run(*ctr, "images", "import", image.archive)

    def is_ready(self) -> bool:
        """Whether the node says that pods can run on it."""
        return holds(self.plane.cluster.get("node", NODE), "Ready")
