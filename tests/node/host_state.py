"""What a node might leave on the machine that carried it, to be compared before and after."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

State = dict[str, Any]

_PROGRAMS = ("containerd", "containerd-shim", "kubelet", "kube-proxy", "kube-router", "coredns")
# Where such programs put files unless they are told otherwise.
_FOLDERS = (
    *("/etc/cni", "/run/containerd", "/run/netns", "/run/flannel", "/run/cni", "/run/kubernetes"),
    *("/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd"),
    *("/var/log/pods", "/var/log/containers", "/usr/libexec/kubernetes", "/opt/cni"),
)
# Set by a kubelet, kube-proxy or whoever forwards packets.
_SYSCTLS = ("vm", "kernel", "net")
# Counters and the like, which change by themselves.
_RESTLESS = (
    "random",
    "pty",
    "ns_last_pid",
    "stat_refresh",
    "sched_domain",
    "neigh",
    "usermodehelper",
)


def state_of_host() -> State:
    """Return what is there now; equal before and after a node that left nothing."""
    return {
        "interfaces": _names("ip", "-json", "link"),
        "addresses": [it.get("addr_info") and _local(it) for it in _read("ip", "-json", "address")],
        "routes": _read("ip", "-json", "route", "show", "table", "all"),
        "iptables": [_rules(it) for it in ("iptables-save", "ip6tables-save")],
        "nftables": _lines("nft", "--stateless", "list", "ruleset"),
        "ipsets": _lines("ipset", "list", "-name"),
        "mounts": sorted(_mounts()),
        "cgroups": sorted(str(it) for it in Path("/sys/fs/cgroup").glob("*/**/") if it.is_dir()),
        "sysctls": dict(_sysctls()),
        "folders": {it: sorted(map(str, Path(it).glob("**/*"))) for it in _FOLDERS},
        "processes": sorted(_processes()),
    }


def differences(before: State, after: State) -> dict[str, tuple[Any, Any]]:
    """Return what differs, each with both values."""
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def _read(*command: str) -> Any:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout or "[]")


def _names(*command: str) -> list[str]:
    return sorted(it["ifname"] for it in _read(*command))


def _local(interface: dict[str, Any]) -> list[str]:
    return [
        f"{interface['ifname']} {it['local']}/{it['prefixlen']}" for it in interface["addr_info"]
    ]


def _rules(program: str) -> list[str]:
    # counters of packets go on counting
    return [line.partition(" [")[0] for line in _lines(program) if line[:1] != "#"]


def _lines(*command: str) -> list[str]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield " ".join(line.split()[2:5])


def _sysctls() -> Iterator[tuple[str, str]]:
    for top in _SYSCTLS:
        for path in sorted(Path("/proc/sys", top).glob("**/*")):
            if path.is_file() and not any(word in str(path) for word in _RESTLESS):
                with suppress(OSError, UnicodeDecodeError):
                    yield str(path), path.read_text()


def _processes() -> Iterator[str]:
    for process in psutil.process_iter(["name", "status"]):
        name = str(process.info["name"])
        # what has ended may be listed until whoever inherited it looks
        if name.startswith(_PROGRAMS) and process.info["status"] != psutil.STATUS_ZOMBIE:
            yield name
