"""What the pods of the stand-in tell Ray, where no recorded RayService shows it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kuberay_stand_in.probes import set_probes
from tests.kuberay_stand_in.ray_start import (
    add_amounts,
    command_line,
    parameters_of,
    set_command,
)

OWN = "--block  --dashboard-agent-listen-port=52365  --metrics-export-port=8080"


def started(group: dict[str, Any], **resources: dict[str, str]) -> str:
    parameters = parameters_of(group)
    add_amounts(parameters, {"resources": resources})
    return " ".join(command_line("ray start", parameters).split())


def flags(*more: str) -> str:
    return " ".join(["ray start", *sorted([*OWN.split(), *more])])


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        ({"requests": {"cpu": "1500m", "memory": "1Gi"}}, ["--num-cpus=2"]),
        ({"limits": {"cpu": "3"}, "requests": {"cpu": "1"}}, ["--num-cpus=3"]),
        ({"limits": {"memory": "1Gi"}}, ["--memory=1073741824"]),
        ({"limits": {"amd.com/gpu": "8"}}, ["--num-gpus=8"]),
        ({"limits": {"nvidia.com/mig-1g.5gb": "2"}}, ["--num-gpus=2"]),
        ({"requests": {"nvidia.com/gpu": "8"}}, []),
        ({"limits": {"google.com/tpu": "4"}}, ["""--resources='{"TPU":4}'"""]),
    ],
)
def test_ray_is_told_what_its_container_has(
    resources: dict[str, dict[str, str]], told: list[str]
) -> None:
    assert started({}, **resources) == flags(*told)


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ({"rayStartParams": {"num-cpus": "0"}}, ["--num-cpus=0"]),
        (
            {"rayStartParams": {"no-monitor": "true", "head": "False"}},
            ["--no-monitor", "--num-cpus=4"],
        ),
        (
            {"rayStartParams": {"include-dashboard": "false"}},
            ["--include-dashboard=false", "--num-cpus=4"],
        ),
        (
            {"resources": {"CPU": "2", "accelerator_type:H100": "1"}},
            ["--num-cpus=2", """--resources='{"accelerator_type:H100":1}'"""],
        ),
        ({"labels": {"zone": "b", "class": "a"}}, ["--labels=class=a,zone=b", "--num-cpus=4"]),
    ],
)
def test_what_a_group_says_goes_before(group: dict[str, Any], told: list[str]) -> None:
    assert started(group, requests={"cpu": "4"}) == flags(*told)


def test_a_containers_own_command_runs_first() -> None:
    container = {"command": ["prepare"], "args": ["all"]}
    set_command(container, "ray start")
    (script,) = container["args"]
    assert script == " prepare  all  && ulimit -n ${RAY_START_ULIMIT_OPEN_FILES:-65536}; ray start"


def test_a_command_that_starts_ray_is_left_alone() -> None:
    container = {"command": ["bash", "-c"], "args": ["ray start --head"]}
    set_command(container, "ray start")
    assert container == {"command": ["bash", "-c"], "args": ["ray start --head"]}


@pytest.mark.parametrize(
    ("version", "asks"), [("2.53.0", "httpGet"), ("2.52.1", "exec"), ("nightly", "exec")]
)
def test_ray_before_2_53_has_no_health_of_a_whole_node(version: str, asks: str) -> None:
    container: dict[str, Any] = {}
    set_probes(container, "head", {}, version)
    assert all(asks in container[probe] for probe in ("livenessProbe", "readinessProbe"))
