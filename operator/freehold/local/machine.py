"""What this machine has, and whether a plan fits on it."""

from __future__ import annotations

import errno
import ipaddress
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace

import psutil

from freehold.api.scalars import GIB, MIB
from freehold.errors import MachineUnfit
from freehold.plan.explain import gib
from freehold.plan.plan import Plan
from freehold.plan.planner import Option

# Below those of our Ray's workers (20000) and replicas (30000), and those that the kernel hands out
# by itself (32768 on Linux, 49152 elsewhere).
_OWN_PORTS = range(14000, 20000)

# Resident memory measured on a machine of two cores. Ray's own processes: GCS, raylet, dashboard,
# agents, Serve's controller and proxies.
RAY_BYTES = 3 * GIB // 2
# The router in front of each model, which imports all of Serve LLM.
ROUTER_BYTES = 3 * GIB // 4
# Beside the workers that the plan counts: the replica, which is the engine's server, and the
# engine's core, each with the engine's libraries.
REPLICA_BYTES = 7 * GIB // 4
# Drivers and their versions differ by a percent or two in what they call the whole.
_SAME_MEMORY = 0.97
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        name: Product name, as its driver says it.
        memory: Bytes.
    """

    name: str
    memory: int


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine.

    Attributes:
        cores: Cores that this process may use.
        available_memory: Bytes that can be taken without swapping.
        compiler: Path of a C++ compiler; None if there is none.
        gpus: Its GPUs.
        total_memory: Bytes that it has, whoever takes them.
    """

    cores: int
    available_memory: int
    compiler: str | None
    gpus: tuple[Gpu, ...] = ()
    total_memory: int = 0

    @property
    def gpu(self) -> Gpu | None:
        """Return its smallest GPU, which every plan for it must fit; None if it has none."""
        return min(self.gpus, key=lambda gpu: gpu.memory, default=None)

    @property
    def vendors(self) -> tuple[str, ...]:
        """Return the vendors of what it can run models on, the preferred first."""
        return ("nvidia", "cpu") if self.gpus else ("cpu",)


def this_machine() -> Machine:
    """Look at this machine."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        available_memory=psutil.virtual_memory().available,
        compiler=shutil.which(os.environ.get("CXX", "g++")),
        gpus=nvidia_gpus(),
        total_memory=psutil.virtual_memory().total,
    )


def nvidia_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that NVIDIA's driver tells of; none where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    lines = answer.stdout.decode(errors="replace").splitlines()
    rows = [[part.strip() for part in line.rsplit(",", 1)] for line in lines if "," in line]
    # a GPU that shares the host's memory has "[N/A]" here: nothing can be planned for it
    return tuple(Gpu(name, int(memory) * MIB) for name, memory in rows if memory.isdecimal())


def classes_of_gpu(gpu: Gpu, options: Iterable[Option]) -> tuple[Option, ...]:
    """Return the options that a GPU's product name and memory speak for, else the nearest below.

    Product names have the class's first word among theirs: NVIDIA H100 80GB HBM3 is h100-80gb.
    """
    words = re.split(r"[\s-]+", gpu.name.casefold())
    fitting = [it for it in options if gpu.memory >= _SAME_MEMORY * it.accelerator.memory]
    named = [it for it in fitting if it.accelerator.name.split("-")[0] in words] or fitting
    most = max((it.accelerator.memory for it in named), default=0)
    return tuple(it for it in named if it.accelerator.memory == most)


def listening_address(host: str) -> str:
    """Return the IPv4 address that a host stands for, if the whole way to an engine works there.

    Serve has every replica listen where the endpoint does (``start_asgi_http_server``), while its
    HAProxy asks replicas of its own node at 127.0.0.1 alone (``haproxy.py``, ``get_localhost_ip``):
    behind any other single address, and behind every one of IPv6, nothing would answer.

    Raises:
        ValueError: With a sentence, when there is no such address or it cannot be used.
    """
    allowed = f"use {LOOPBACK} (this machine alone) or {EVERYWHERE} (every address that it has)"
    if _is_ipv6(host):
        raise ValueError(f"{host} is an IPv6 address, which Ray Serve cannot listen on; {allowed}")
    address = _resolved(host)
    if address is None:
        raise ValueError(f"{host!r} is neither an IPv4 address nor a name that has one; {allowed}")
    if address not in (LOOPBACK, EVERYWHERE):
        where = host if host == address else f"{host} ({address})"
        raise ValueError(f"Ray Serve cannot listen on {where} by itself; {allowed}")
    return address


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).version == 6
    except ValueError:
        return False


def _resolved(host: str) -> str | None:
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    return str(found[0][4][0]) if found else None


def require_port(host: str, port: int) -> None:
    """Raise ``MachineUnfit`` when nothing can listen there, mostly because something does."""
    if error := _bind_error(host, port):
        words = getattr(error, "strerror", None) or str(error)
        raise MachineUnfit(
            f"port {port} on {host} cannot be used ({words}); "
            f"{_way_out(getattr(error, 'errno', None), port)}"
        ) from error


def _bind_error(host: str, port: int) -> OSError | UnicodeError | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as error:
            return error
    return None


def _way_out(code: int | None, port: int) -> str:
    if code == errno.EADDRINUSE:
        find = f"`ss -ltnp 'sport = :{port}'` names it"
        return f"stop what listens there ({find}) or choose another with --port"
    if code == errno.EACCES:
        return "choose a port above 1023 with --port"
    return "choose an address of this machine with --host"


def free_ports(host: str, count: int) -> list[int]:
    """Return ports that nothing listens on now, all different.

    They lie below those that the kernel hands out by itself: Ray opens hundreds of those while it
    starts, and would take one of these away before the process it is for has come to listen.

    Raises:
        MachineUnfit: There are not so many.
    """
    found: list[int] = []
    candidates = random.sample(_OWN_PORTS, len(_OWN_PORTS))
    while len(found) < count and candidates:
        port = candidates.pop()
        if _bind_error(host, port) is None:
            found.append(port)
    if len(found) < count:
        lowest, highest = _OWN_PORTS.start, _OWN_PORTS.stop - 1
        raise MachineUnfit(
            f"{count} free ports from {lowest} to {highest} on {host} are needed and {len(found)} "
            "found; stop what listens there (`ss -ltn` shows it)"
        )
    return found


@dataclass(frozen=True, slots=True)
class Demand:
    """What one model may take of this machine.

    Attributes:
        name: The model's name.
        plan: Its plan.
        replicas: Replicas that it may grow to.
        pinned: Whether the manifest says how the model is split, and no plan may do otherwise.
    """

    name: str
    plan: Plan
    replicas: int
    pinned: bool = False

    @property
    def device_bytes(self) -> float:
        """Return the bytes that one device, or worker, takes."""
        memory = self.plan.memory
        return memory.weights + memory.overhead + memory.kv_cache


def require_room_for_change(machine: Machine, demands: list[Demand]) -> None:
    """Judge models that stand in the place of those that run, by what the machine has in all."""
    require_room(replace(machine, available_memory=machine.total_memory), demands)


def require_room(machine: Machine, demands: list[Demand]) -> None:
    """Raise ``MachineUnfit`` when this machine cannot carry the models at their largest."""
    demands = [item for item in demands if item.replicas]
    on_cores = [item for item in demands if item.plan.accelerator.vendor == "cpu"]
    if on_cores and machine.compiler is None:
        raise MachineUnfit(
            "no C++ compiler found: the engine compiles its kernels at the first request; "
            "install g++ (Debian, Ubuntu: apt-get install g++) or set CXX"
        )
    for item in on_cores:
        cores = item.plan.layout.devices * item.plan.accelerator.cores
        if cores > machine.cores:
            raise MachineUnfit(
                f"{item.name}: one replica has {item.plan.layout.devices} workers with "
                f"{item.plan.accelerator.cores} core(s) each and this machine has "
                f"{machine.cores} core(s); {_fewer_cores(item)}"
            )
    _require_memory(machine, on_cores)
    _require_gpus(machine, [item for item in demands if item.plan.accelerator.vendor != "cpu"])


def _fewer_cores(item: Demand) -> str:
    """Return what would take fewer cores.

    A plan takes the fewest workers that hold the model: to ask for fewer of it would be in vain.
    """
    accelerator = item.plan.accelerator
    ways = (
        f"a smaller model, an AcceleratorClass of your own with more memory for each worker "
        f"(spec: {{extends: {accelerator.name}, memory: ...}}), or a machine with more cores"
    )
    if item.pinned:
        return (
            f"lower parallelism of {item.plan.candidate} in spec.hardware.candidates, or leave it "
            f"out to have the fewest workers planned; where those are too many, take {ways}"
        )
    return (
        f"these are the fewest of {accelerator.name}, at {gib(accelerator.memory)} each, that hold "
        f"the model and its requests: take {ways}"
    )


def _require_memory(machine: Machine, demands: list[Demand]) -> None:
    need = RAY_BYTES
    lines = []
    for item in demands:
        devices = item.plan.layout.devices
        workers = int(item.device_bytes * devices)
        need += ROUTER_BYTES + (REPLICA_BYTES + workers) * item.replicas
        lines.append(
            f"{item.name}: {item.replicas} replicas with {devices} workers of "
            f"{gib(item.device_bytes)} and {gib(REPLICA_BYTES)} around them"
        )
    if need > machine.available_memory:
        raise MachineUnfit(
            f"the models need {gib(need)} of memory ({'; '.join(lines)}; Ray itself "
            f"{gib(RAY_BYTES)}) and {gib(machine.available_memory)} are available; lower "
            f"replicas, spec.model.contextLength or engine.args.max_num_seqs, or free some memory"
        )


def _require_gpus(machine: Machine, demands: list[Demand]) -> None:
    need = sum(item.plan.layout.devices * item.replicas for item in demands)
    if need > len(machine.gpus):
        raise MachineUnfit(
            f"the models need {need} GPUs at their largest and this machine has "
            f"{len(machine.gpus)}; lower replicas or parallelism, or run them on a cluster"
        )
    smallest = machine.gpu.memory if machine.gpu else 0
    for item in demands:
        memory = item.plan.accelerator.memory
        if smallest < _SAME_MEMORY * memory:
            raise MachineUnfit(
                f"{item.name} was planned for {item.plan.accelerator.name} with {gib(memory)} and "
                f"a GPU of this machine has {gib(smallest)}; name its class as a candidate"
            )
