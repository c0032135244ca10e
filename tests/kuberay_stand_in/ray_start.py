"""The command line that starts Ray in a pod."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from kubernetes.utils.quantity import parse_quantity
from tests.kuberay_stand_in.api import Object

AGENT_PORT, METRICS_PORT, GCS_PORT = 52365, 8080, 6379
SHELL = ["/bin/bash", "-c", "--"]
_LIMIT = "ulimit -n ${RAY_START_ULIMIT_OPEN_FILES:-65536}"
_SLICE = re.compile(r"nvidia\.com/mig-\d+g\.\d+gb$")
_OTHER_DEVICES = {"aws.amazon.com/neuroncore": "neuron_cores", "google.com/tpu": "TPU"}
# flags of ``ray start`` that take "false"; of all others KubeRay leaves a "false" out
_TAKE_FALSE = ("log-color", "include-dashboard", "include-log-monitor")


def is_gpu(resource: str) -> bool:
    """Return whether Ray counts a resource of Kubernetes as GPUs."""
    return resource.endswith("gpu") or bool(_SLICE.match(resource))


def parameters_of(group: Object, **own: str) -> dict[str, str]:
    """Return the parameters of ``ray start`` for a group's pods.

    Args:
        group: The group's spec; what it says goes before KubeRay's own.
        own: KubeRay's own, with ``_`` for ``-``.
    """
    ours = {name.replace("_", "-"): value for name, value in own.items()}
    given = dict(group.get("rayStartParams") or {})
    given |= _of_resources(group.get("resources") or {})
    if labels := group.get("labels"):
        given["labels"] = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
    ports = {
        "dashboard-agent-listen-port": str(AGENT_PORT),
        "metrics-export-port": str(METRICS_PORT),
    }
    return ours | ports | given | {"block": "true"}


def _of_resources(resources: dict[str, str]) -> dict[str, str]:
    """Return what a group's own ``resources`` say to Ray."""
    found, others = {}, {}
    for name, amount in resources.items():
        flag = {"cpu": "num-cpus", "memory": "memory"}.get(name.lower())
        flag = "num-gpus" if is_gpu(name.lower()) else flag
        if flag:
            found[flag] = _whole(amount)
        else:
            others[name] = float(parse_quantity(amount))
    return found | ({"resources": _json(others)} if others else {})


def add_amounts(parameters: dict[str, str], container: Object) -> None:
    """Tell Ray of the resources that Ray's container has, where nothing else was told."""
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if amount := limits.get("cpu") or requests.get("cpu"):
        parameters.setdefault("num-cpus", _whole(amount))
    if amount := limits.get("memory"):
        parameters.setdefault("memory", _whole(amount))
    for name in sorted(limits):
        if is_gpu(name):
            parameters.setdefault("num-gpus", _whole(limits[name]))
    _add_other_devices(parameters, limits)


def _add_other_devices(parameters: dict[str, str], limits: dict[str, Any]) -> None:
    told = json.loads(parameters.get("resources", "{}").strip("'\"` ") or "{}")
    found = [name for name in sorted(limits) if name in _OTHER_DEVICES]
    if found and not set(_OTHER_DEVICES.values()) & set(told):
        told[_OTHER_DEVICES[found[0]]] = float(parse_quantity(limits[found[0]]))
        parameters["resources"] = _json(told)


def command_line(command: str, parameters: dict[str, str]) -> str:
    """Return ``ray start`` with its parameters as flags, in order."""
    flags = (_flag(name, parameters[name]) for name in sorted(parameters))
    return f"{command} {''.join(flags)}"


def _flag(name: str, value: str) -> str:
    switch = value.lower()
    if switch in ("true", "false") and name not in _TAKE_FALSE:
        return f" --{name} " if switch == "true" else ""
    return f" --{name}={value} "


def set_command(container: Object, line: str) -> None:
    """Have a container start Ray, after what its own command does, if it has one."""
    own = "".join(f" {w} " for w in [*container.get("command", []), *container.get("args", [])])
    if "ray start" in own:
        return
    container["command"] = list(SHELL)
    container["args"] = [f"{own} && {_LIMIT}; {line}" if own else f"{_LIMIT}; {line}"]


def _whole(amount: str | int | float) -> str:
    return str(math.ceil(parse_quantity(amount)))


def _json(amounts: dict[str, float]) -> str:
    whole = {name: int(it) if it == int(it) else it for name, it in amounts.items()}
    return f"'{json.dumps(whole, sort_keys=True, separators=(',', ':'))}'"
