"""What is rendered is what KubeRay writes back: its first full update adds its finalizer alone.

``tests/integration/test_pod_form.py`` holds the same form to a real API server's own types.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.kuberay_stand_in.spec import full_update
from tests.unit.render.rendered import (
    Planned,
    case_files,
    group_of,
    planned,
    planned_file,
    service_of,
    two_nodes,
)

from freehold.render.numbers import Numbers, with_numbers
from freehold.render.objects import object_yaml
from freehold.render.pod_form import in_go_form

SIDECAR = {"name": "sidecar", "image": "one", "resources": {"limits": {"memory": "1024Mi"}}}
OVERLAY = {
    "metadata": None,
    "spec": {
        "initContainers": [{"name": "before", "image": "two"}],
        "containers": [
            {
                "name": "ray-worker",
                "resources": {"requests": {"cpu": "8000m", "memory": "65536Mi"}},
                "env": [{"name": "EMPTY", "value": ""}],
            },
            SIDECAR,
            {"name": "bare", "image": "three"},
        ],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "2048Mi"}}],
    },
}
FILES = {
    name: planned_file(path)
    for name, path in case_files().items()
    if name != "gemma-3-270m"  # refused: no image for its class
}
CASES = {
    **FILES,
    "two-nodes": two_nodes(),
    "overlaid": planned(templates={"head": {"metadata": None}, "worker": OVERLAY}),
}


@pytest.mark.parametrize("item", CASES.values(), ids=CASES)
@pytest.mark.parametrize("suspend", [False, True])
def test_kuberay_writes_back_the_same_bytes(item: Planned, suspend: bool) -> None:
    service, candidate = service_of(item), item[1].candidate
    rendered = with_numbers(service, Numbers(0, 3, suspend), "FreeholdServer:llama", candidate)
    written = copy.deepcopy(rendered)
    full_update(written)
    assert object_yaml(written) == object_yaml(rendered)
    assert rendered["spec"].get("suspend", False) is suspend


def test_an_overlay_is_written_in_the_same_form() -> None:
    template = group_of(CASES["overlaid"])["template"]
    assert template["metadata"] == {"labels": {"freehold.dev/model": "llama"}}
    ray, sidecar, bare = template["spec"]["containers"]
    assert ray["resources"]["requests"] == {"cpu": "8", "memory": "64Gi"}
    assert {"name": "EMPTY"} in ray["env"]
    assert sidecar["resources"]["limits"] == {"memory": "1Gi"}
    assert bare["resources"] == template["spec"]["initContainers"][0]["resources"] == {}


# A template, and what becomes of it; of these Go holds the one without a pointer, the other with.
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "switches": (
        {"hostNetwork": False, "hostPID": True, "shareProcessNamespace": False},
        {"hostPID": True, "shareProcessNamespace": False},
    ),
    "counts": (
        {"priority": 0, "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 5}},
        {"priority": 0, "readinessProbe": {"periodSeconds": 5}},
    ),
    "texts": (
        {"schedulerName": "", "runtimeClassName": "", "nodeName": "a"},
        {"runtimeClassName": "", "nodeName": "a"},
    ),
    "lists": (
        {"tolerations": [], "affinity": {"nodeAffinity": {}}, "imagePullSecrets": [{"name": "a"}]},
        {"affinity": {"nodeAffinity": {}}, "imagePullSecrets": [{"name": "a"}]},
    ),
    "maps": (
        {"nodeSelector": {}, "securityContext": {}, "overhead": {"cpu": 0.5}},
        {"securityContext": {}, "overhead": {"cpu": "500m"}},
    ),
    "volumes": (
        {"volumes": [{"csi": {"readOnly": False}}, {"nfs": {"readOnly": False}}]},
        {"volumes": [{"csi": {"readOnly": False}}, {"nfs": {}}]},
    ),
    "what has anybody's keys": (
        {"nodeSelector": {"tty": "", "limits": ""}},
        {"nodeSelector": {"tty": "", "limits": ""}},
    ),
    "what is no quantity": (
        {"overhead": {"cpu": "much", "memory": None}},
        {"overhead": {"cpu": "much", "memory": None}},
    ),
}


@pytest.mark.parametrize(("given", "wanted"), FORMS.values(), ids=FORMS)
def test_what_go_leaves_out_is_left_out(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert in_go_form({"spec": given}) == {"metadata": {}, "spec": wanted}


def test_the_form_of_a_form_is_itself() -> None:
    for item in CASES.values():
        template = group_of(item)["template"]
        assert in_go_form(template) == template
