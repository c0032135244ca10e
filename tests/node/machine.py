"""A machine inside this one: network, mounts and a cgroup of its own, for a node's processes.

Interfaces, packet filters, routes, network sysctls and mounts live in namespaces, so the kernel
itself takes them away with the last process in there, however it ended. What has no namespace, the
cgroup and a few sysctls that a kubelet sets, is written down for the keeper before it changes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.control_plane.keeper import UNDO
from tests.control_plane.processes import Processes, Server, ServerFailed

# For benchmarks between network devices (RFC 2544), so on nobody's way.
HOST_ADDRESS, ADDRESS, LINK_BITS = "198.18.0.1", "198.18.0.2", 24
POD_RANGE, POD_GATEWAY = "198.18.1.0/24", "198.18.1.1"
SERVICE_RANGE = "198.19.0.0/16"
# The inner end of the cable between this machine and the one inside.
_INTERFACE = "uplink"
_CGROUPS = Path("/sys/fs/cgroup")
# Where Debian puts network plugins.
CNI = Path("/usr/lib/cni")
# The node's own processes are in groups of these controllers: so that none is overlooked, and so
# that they share the cores with the pods and not with everything else here. They are beside the
# pods' groups, since a group with processes of its own may have no groups below it (version 2).
_CONTROLLERS, _SYSTEM = ("pids", "cpu"), "system"
# They carry the control plane too, which on other clusters has machines of its own: pods that use
# all cores must not starve it. By the file of either version, with the most that it takes, more
# than a hundred times what a kubelet gives all pods of a machine with two cores.
_FIRST = {"cpu.shares": "262144", "cpu.weight": "10000"}
# A kubelet sets these (``pkg/kubelet/cm/container_manager_linux.go``); no namespace has its own.
_SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_READY = "the machine is up"
PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "runc": "runc",
    # for images
    "debootstrap": "debootstrap",
    "buildah": "buildah",
    "busybox": "busybox-static",
}


class NodeUnfit(RuntimeError):
    """This machine cannot carry a node; the message says what it lacks and who gives it."""


@dataclass(frozen=True)
class Machine:
    """The machine inside.

    Attributes:
        folder: The folder of all its files.
        server: The process that keeps its namespaces.
    """

    folder: Path
    server: Server

    @property
    def cgroup(self) -> str:
        """The path of its group in each cgroup controller."""
        return f"/{self.folder.name}"

    @property
    def entry(self) -> tuple[str, ...]:
        """The words before a command by which it runs inside; its process id stays its own."""
        namespaces = f"nsenter --target {self.server.pid} --net --mount"
        script = f'{_joining(self.folder.name)}exec {namespaces} --wd="$PWD" -- "$@"'
        return ("/bin/sh", "-c", script, "inside")

    def run(self, *command: str | Path, stdin: str | None = None) -> str:
        """Run a command inside to its end, and return what it wrote to standard output.

        Raises:
            ServerFailed: It failed; carries what it wrote to standard error.
        """
        words = [*self.entry, *map(str, command)]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True)
        if done.returncode:
            raise ServerFailed(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout


def begin_machine(processes: Processes) -> Machine:
    """Make the namespaces and the cgroup, and lay the cable; the processes' end takes all away.

    Raises:
        NodeUnfit: Not root, or a program is missing.
        ServerFailed: The kernel refuses something.
    """
    check_machine()
    _write_undo(processes.folder)
    name = processes.folder.name
    for group in (*_system_groups(name), *_groups(name)):
        group.mkdir(parents=True, exist_ok=True)
    for group in _system_groups(name):
        _put_first(group)
    machine = Machine(processes.folder, processes.start("machine", _holder(processes.folder)))
    machine.server.says(_READY)
    _lay_cable(machine)
    return machine


def check_machine() -> None:
    """Raise unless a node can be carried here.

    Raises:
        NodeUnfit: Not root, or a program is missing.
    """
    if os.geteuid() != 0:
        raise NodeUnfit(
            "a real node needs root, for namespaces and mounts: run this as root (sudo)"
        )
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name)})
    if not CNI.exists():
        missing.append("containernetworking-plugins")
    if missing:
        raise NodeUnfit(f"a real node needs more programs: apt-get install {' '.join(missing)}")


def _groups(name: str) -> list[Path]:
    """Return the node's group in all hierarchies: one (version 2) or one for each controller."""
    tops = [_CGROUPS] if (_CGROUPS / "cgroup.procs").exists() else list(_CGROUPS.iterdir())
    return [it / name for it in tops if (it / "cgroup.procs").exists()]


def _system_groups(name: str) -> list[Path]:
    """Return the groups in which the node's own processes are, and everything they start."""
    only = (_CGROUPS / "cgroup.procs").exists()
    tops = [_CGROUPS] if only else [_CGROUPS / it for it in _CONTROLLERS]
    return [top / name / _SYSTEM for top in tops]


def _put_first(group: Path) -> None:
    """Let a group have the cores before others, where it has a controller of them."""
    for name, most in _FIRST.items():
        if (group / name).exists():
            (group / name).write_text(most)


def _joining(name: str) -> str:
    """Return the words of a shell by which it joins those groups."""
    return "".join(f"echo $$ > {it}/cgroup.procs && " for it in _system_groups(name))


def _write_undo(folder: Path) -> None:
    sysctls = {f"/proc/sys/{name}": Path("/proc/sys", name).read_text() for name in _SYSCTLS}
    groups = list(map(str, _groups(folder.name)))
    (folder / UNDO).write_text(
        json.dumps({"files": sysctls, "cgroups": groups, "interfaces": [_outer_end(folder)]})
    )


def _holder(folder: Path) -> list[str]:
    """Return the command that makes the namespaces and keeps them."""
    logs, names = folder / "var-log", folder / "resolv.conf"
    logs.mkdir()
    # processes inside find Services by name, as pods do
    names.write_text(f"nameserver {ADDRESS}\n")
    script = f"""
        set -e
        mount --make-rprivate /
        mount --make-rshared /
        # sockets, locks and network namespaces, which programs put at fixed places
        mount -t tmpfs run /run
        mkdir -p /run/lock /run/netns /var/lib/cni /var/lib/kubelet
        mount -t tmpfs cni /var/lib/cni
        mount -t tmpfs kubelet /var/lib/kubelet
        mount --bind {logs} /var/log
        mount --bind {names} /etc/resolv.conf
        ip link set lo up
        echo 1 > /proc/sys/net/ipv4/ip_forward
        echo "{_READY}"
        exec sleep infinity
    """
    enter = f'{_joining(folder.name)}exec unshare --net --mount -- /bin/sh -c "$0"'
    return ["/bin/sh", "-c", enter, script]


def _outer_end(folder: Path) -> str:
    """Return the name of the cable's end on this machine, another one for each node."""
    return f"fh-{folder.name.rpartition('-')[2]}"


def _lay_cable(machine: Machine) -> None:
    """Join the two machines, so that a person here reaches pods and Services there."""
    outer = _outer_end(machine.folder)
    here = (
        f"ip link add {outer} type veth peer name {_INTERFACE} netns {machine.server.pid}",
        f"ip address add {HOST_ADDRESS}/{LINK_BITS} dev {outer}",
        f"ip link set {outer} up",
        f"ip route add {POD_RANGE} via {ADDRESS} dev {outer}",
        f"ip route add {SERVICE_RANGE} via {ADDRESS} dev {outer}",
    )
    there = (
        f"ip address add {ADDRESS}/{LINK_BITS} dev {_INTERFACE}",
        f"ip link set {_INTERFACE} up",
        f"ip route add default via {HOST_ADDRESS}",
    )
    for command in here:
        _here(*command.split())
    for command in there:
        machine.run(*command.split())


def _here(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ServerFailed(
            f"{' '.join(command)}: {done.stderr.strip()}; does another node run on this machine?"
        )
    return done.stdout
