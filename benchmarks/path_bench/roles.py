"""What each process does for a request, and the CPU time of those that do the same."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

import psutil

ROLES = ("client", "proxy", "router", "ingress", "server", "engine core", "workers", "Ray's own")


def used_by(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """Return the CPU seconds that processes have used so far, by role."""
    used: dict[str, float] = defaultdict(float)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used[role_of(process)] += times.user + times.system
    return dict(used)


def used_since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU seconds used between two looks, by role."""
    return {role: seconds - before.get(role, 0.0) for role, seconds in after.items()}


def role_of(process: psutil.Process) -> str:
    """Name the part that a process plays on the way of a request."""
    title = " ".join(process.cmdline())
    for words, role in (
        ("VLLM::Worker", "workers"),
        ("VLLM::EngineCore", "engine core"),
        ("OpenAiIngress", "ingress"),
        ("LLMRouter", "router"),
        ("ray::ServeReplica", "server"),
        ("api_server", "server"),
        ("-m uvicorn", "server"),
        ("ray::ProxyActor", "proxy"),
    ):
        if words in title:
            return role
    return "proxy" if process.name().startswith("haproxy") else "Ray's own"
