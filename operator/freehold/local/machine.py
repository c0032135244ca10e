"""What this machine has, and whether a plan fits on it."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import dataclass

import psutil

from freehold.errors import MachineUnfit
from freehold.plan.explain import gib
from freehold.plan.plan import Plan

# Ray's own processes (GCS, raylet, dashboard, agents, Serve controller and proxies), as measured
# on an idle head.
RAY_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine.

    Attributes:
        cores: Cores that this process may use.
        available_memory: Bytes that can be taken without swapping.
        compiler: Path of a C++ compiler; None if there is none.
    """

    cores: int
    available_memory: int
    compiler: str | None


def this_machine() -> Machine:
    """Look at this machine."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        available_memory=psutil.virtual_memory().available,
        compiler=shutil.which(os.environ.get("CXX", "g++")),
    )


def require_port(host: str, port: int) -> None:
    """Raise ``MachineUnfit`` when something already listens on the port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MachineUnfit(
                f"port {port} on {host} cannot be used ({error.strerror}); stop what listens "
                f"there (`ss -ltnp 'sport = :{port}'` names it) or choose another with --port"
            ) from error


def free_ports(host: str, count: int) -> list[int]:
    """Return ports that nothing listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def require_room(machine: Machine, wanted: list[tuple[str, Plan, int]]) -> None:
    """Raise ``MachineUnfit`` when the replicas that start at once do not fit in memory.

    Args:
        machine: This machine.
        wanted: For each model its name, its plan, and the replicas it starts with or may grow to.
    """
    if machine.compiler is None:
        raise MachineUnfit(
            "no C++ compiler found: the engine compiles its kernels at the first request; "
            "install g++ (Debian, Ubuntu: apt-get install g++) or set CXX"
        )
    need = RAY_BYTES
    lines = []
    for name, plan, replicas in wanted:
        device = plan.memory.weights + plan.memory.overhead + plan.memory.kv_cache
        need += int(device * plan.layout.devices * replicas)
        lines.append(f"{name}: {replicas} x {plan.layout.devices} workers of {gib(device)}")
    if need > machine.available_memory:
        raise MachineUnfit(
            f"the models need {gib(need)} of memory ({'; '.join(lines)}; Ray itself "
            f"{gib(RAY_BYTES)}) and {gib(machine.available_memory)} are available; lower "
            f"replicas, spec.model.contextLength or engine.args.max_num_seqs, or free some memory"
        )
