"""What is wrong with a new model, what its status tells of it, and that it heals by itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.model import ENGINE_SECONDS, Model
from tests.control_plane.cluster import KubectlFailed
from tests.control_plane.processes import wait_for
from tests.faults.conftest import Keep
from tests.faults.new_models import SECONDS, manifest, new, refused
from tests.faults.story import Story, told_in_turn
from tests.faults.weights import UNKNOWN, copied, cut_short, with_architecture
from tests.installation.kuberay import kuberay_crds
from tests.node.installation import Installation

HOST_PATH = {"name": "root", "hostPath": {"path": "/"}}
WORKER = {"name": "ray-worker"}
HOSTILE: dict[str, dict[str, Any]] = {
    "a folder of the node": {"spec": {"volumes": [HOST_PATH], "containers": [WORKER]}},
    "a privileged container": {
        "spec": {"containers": [{**WORKER, "securityContext": {"privileged": True}}]}
    },
    "the node's network": {"spec": {"hostNetwork": True, "containers": [WORKER]}},
    "another's service account": {"spec": {"serviceAccountName": "admin", "containers": [WORKER]}},
}


def test_the_weights_are_missing(
    place: Callable[[str], Model], broken_weights: Path, keep: Keep
) -> None:
    folder = broken_weights / "missing"
    shutil.rmtree(folder, ignore_errors=True)
    model = place("missing")
    with new("The model's folder is missing", model, model=at(folder)) as story:
        story.told = refused(model)
        copied(folder)
    keep(story)


def test_half_of_the_weights_is_missing(
    place: Callable[[str], Model], broken_weights: Path, keep: Keep
) -> None:
    folder, model = cut_short(broken_weights / "half-written"), place("half-written")
    with new("Half of the weights is missing", model, model=at(folder)) as story:
        story.told = refused(model)
        copied(folder)
    keep(story)


def test_the_engine_knows_no_such_architecture(
    place: Callable[[str], Model], broken_weights: Path, keep: Keep
) -> None:
    """The engine alone can tell, once one starts; the files of the rollout are pinned then."""
    folder, model = with_architecture(broken_weights / "unknown", UNKNOWN), place("unknown")
    awake = {"minReplicas": 1, "maxReplicas": 1}
    with new("The engine knows no such architecture", model, model=at(folder)) as story:
        model.edit(autoscaling=awake)
        told = model.wait("Stalled", "True", "DeployFailed", ENGINE_SECONDS)
        story.told = told["message"]
        right = copied(broken_weights / "known")
        model.edit(model=at(right), autoscaling={"minReplicas": 0})
    keep(story)
    assert UNKNOWN in story.told


def test_the_secret_with_keys_is_missing(place: Callable[[str], Model], keep: Keep) -> None:
    model = place("keyless")
    authentication = {"type": "APIKey", "secretRef": {"name": "team-keys"}}
    endpoint = {"authentication": authentication}
    with new("The Secret with API keys is missing, then added", model, endpoint=endpoint) as story:
        story.told = model.wait("Ready", "False", "APIKeysMissing")["message"]
        model.kubectl("create", "secret", "generic", "team-keys", "--from-literal=a=the-key")
    keep(story)
    assert model.opens("the-key")
    assert not model.opens("another")


def test_kuberay_is_installed_after_the_model(
    place: Callable[[str], Model], installation: Installation, keep: Keep
) -> None:
    cluster, model = installation.cluster, place("early")
    installation.kuberay.stop()
    cluster.kubectl("delete", f"--filename={kuberay_crds()}", "--ignore-not-found")
    with new("KubeRay is installed after the model", model) as story:
        story.told = model.wait("Ready", "False", "KubeRayMissing")["message"]
        cluster.apply_crds(kuberay_crds())
        installation.kuberay.start()
    keep(story)


@pytest.mark.parametrize("wanted", HOSTILE)
def test_an_author_takes_what_is_not_theirs(
    wanted: str, place: Callable[[str], Model], keep: Keep
) -> None:
    model = place("hostile")
    with pytest.raises(KubectlFailed) as refused_with:
        text = manifest(model.name, templates={"worker": HOSTILE[wanted]})
        model.kubectl("apply", "--filename=-", stdin=text)
    story = Story(f"A model's author asks for {wanted}", model, seen=["refused at once"])
    story.told = str(refused_with.value).partition(": ")[2].strip()
    keep(story)
    assert "denied" in story.told and "spec.templates.worker" in story.told


@pytest.mark.parametrize("phase", ["describing", "starting", "waking", "serving", "rolling-out"])
def test_it_is_deleted(phase: str, place: Callable[[str], Model], keep: Keep) -> None:
    model = place(phase)
    model.kubectl("apply", "--filename=-", stdin=manifest(phase))
    story = Story(f"The model is deleted while it is {phase.replace('-', ' ')}", model)
    with told_in_turn(story):
        _reach(model, phase)
        story.look()
    began = time.monotonic()
    model.kubectl("delete", "fmd", phase, "--timeout=180s")
    model_is_gone(model)
    story.told = f"Nothing of it was left after {time.monotonic() - began:.0f} s."
    keep(story)


def _reach(model: Model, phase: str) -> None:
    """Wait until a model is in the middle of a phase."""
    if phase == "describing":
        model.until("a pod reads its source", lambda: _all_pods(model))
        return
    model.until("its head is there", lambda: model.pods("head"))
    if phase == "starting":
        return
    model.wait("Ready", "True", "ScaledToZero", SECONDS)
    model.edit(autoscaling={"minReplicas": 1})
    model.until("its worker is there", lambda: model.pods("worker"))
    if phase == "waking":
        return
    model.wait("Ready", "True", "Answers", ENGINE_SECONDS)
    if phase == "rolling-out":
        model.edit(engine={"args": {"seed": 1}})
        model.until("a successor starts", lambda: len(model.pods("worker")) == 2)


def model_is_gone(model: Model) -> None:
    """Wait until nothing of a model is left but the Secret with its keys."""

    def gone() -> bool:
        selector = f"freehold.dev/model={model.name}"
        kinds = "pods,services,configmaps,rayservices,rayclusters,networkpolicies,secrets"
        found = model.cluster.list(kinds, model.namespace, selector)
        names = {it["metadata"]["name"] for it in found}
        return names <= {f"{model.name}-api-key"}

    wait_for("nothing of it is left", gone, 180, every=0.5)


def _all_pods(model: Model) -> list[Any]:
    return model.cluster.list("pods", model.namespace, f"freehold.dev/model={model.name}")


def at(folder: Path) -> dict[str, Any]:
    """Return the fields of a model whose weights lie in a folder of the node."""
    return {"source": f"file://{folder}"}
