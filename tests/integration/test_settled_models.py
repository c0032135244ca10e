"""Nothing but a change of its spec changes a model that serves.

Prices, images, nodes, branches and the operator itself become others here beneath models that are
at rest; what was decided at their rollout stays, and their next rollout takes what is new.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.hardware import accelerator_class, of_class
from tests.integration.harness import ROOT
from tests.integration.one_model import Model, Object
from tests.integration.operator import Operator, example, start_operator, until, wait_until_ready
from tests.unit.sources.fake_hub import COMMIT, FakeHub

REPOSITORY = "meta-llama/Llama-Guard-3-8B"
MOVED = "f" * 40
# One class with an image of its own, one with that of the catalogue, and one without nodes.
OWN, PLAIN, CHEAP = "settled", "settled-plain", "settled-cheap"
IMAGE = "mirror.example.com/ray-llm:first"
NODES = [
    *of_class(OWN, 4),
    *of_class(PLAIN, 4),
    SimulatedNode("settled-heads", allocatable={"cpu": "64", "memory": "256Gi"}),
]
SOURCE = {**example("llama-guard-3-8b")["spec"]["model"], "revision": "main"}
ON_OWN = {"candidates": [{"name": "own", "accelerator": OWN}]}
TWO = {"name": "plain", "accelerator": PLAIN, "parallelism": {"tensor": 1, "pipeline": 2}}
# One on a node, one over two, and one that takes the cheapest that there is.
SPECS: dict[str, dict[str, Any]] = {
    "single": {"hardware": ON_OWN},
    "wide": {"hardware": {"candidates": [TWO]}},
    "cheapest": {"hardware": None},
}
CHILDREN = {"configmaps", "services", "rayservices", "rayclusters", "controllerrevisions"}


@dataclass(frozen=True, slots=True)
class World:
    """The models at rest, and what they depend on."""

    cluster: Cluster
    operator: Operator
    hub: FakeHub
    models: dict[str, Model]
    environment: dict[str, str]

    def look(self, operator: Operator) -> None:
        """Have every model looked at twice, so that once was after all that is there now."""
        for _ in range(2):
            passes = operator.passes()
            look = f"freehold.test/look={secrets.token_hex(4)}"
            self.cluster.kubectl("label", "node", "settled-heads", look, "--overwrite")
            until("passes", lambda passes=passes: operator.passes() >= passes + len(self.models))

    def children(self) -> dict[str, Object]:
        """Return what was made for the models, pods included."""
        found: dict[str, Object] = {}
        for name, model in self.models.items():
            pods = sorted(it["metadata"]["uid"] for it in model.pods(model.active))
            found[name] = {**model.children(), "pods": pods}
        return found


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with FakeHub(REPOSITORY).running() as found:
        yield found


@pytest.fixture(scope="module")
def hardware(cluster: Cluster) -> Iterator[None]:
    plain = [accelerator_class(PLAIN, "0.6"), accelerator_class(CHEAP, "0.1")]
    cluster.apply(accelerator_class(OWN, "0.5", IMAGE), *plain)
    cluster.add_nodes(NODES)
    yield
    names = [node.name for node in (*NODES, *of_class(CHEAP, 1))]
    cluster.remove_nodes(names)
    cluster.kubectl("delete", "facc", "--ignore-not-found", OWN, PLAIN, CHEAP)


@pytest.fixture(scope="module")
def world(
    cluster: Cluster, kuberay: KubeRay, hardware: None, hub: FakeHub, shared_namespace: str
) -> Iterator[World]:
    with Processes.begin("freehold-test-") as processes:
        environment = {
            **kuberay.environment,
            "HF_HUB_OFFLINE": "0",
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(processes.folder / "hub"),
        }
        only = (f"--namespace={shared_namespace}", "--no-leader-election")
        operator = start_operator(processes, cluster.kubeconfig, environment, *only)
        models = {name: Model(cluster, shared_namespace, name, kuberay) for name in SPECS}
        for name, model in models.items():
            manifest = example("llama-guard-3-8b", model=SOURCE, **SPECS[name])
            model.apply({**manifest, "metadata": {"name": name}})
        for model in models.values():
            model.until_settled()
        yield World(cluster, operator, hub, models, environment)


def another_price(world: World) -> None:
    world.cluster.apply(accelerator_class(OWN, "9.5", IMAGE))


def another_image(world: World) -> None:
    world.cluster.apply(accelerator_class(OWN, "0.5", "mirror.example.com/ray-llm:second"))


def a_better_node(world: World) -> None:
    world.cluster.add_nodes(of_class(CHEAP, 1))


def a_moved_branch(world: World) -> None:
    world.hub.commit = MOVED


def a_class_that_is_gone(world: World) -> None:
    world.cluster.kubectl("delete", "facc", PLAIN)


@pytest.mark.parametrize(
    "event",
    [another_price, another_image, a_better_node, a_moved_branch, a_class_that_is_gone],
    ids=lambda it: it.__name__,
)
def test_what_changes_around_a_model_changes_no_child(
    event: Callable[[World], None], world: World
) -> None:
    world.look(world.operator)
    before, writes = world.children(), world.operator.writes()
    event(world)
    world.look(world.operator)
    assert world.children() == before
    assert to_children(world.operator.writes()) == to_children(writes)


def to_children(writes: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return {place: count for place, count in writes.items() if place[1] in CHILDREN}


# What another release may have otherwise: an image, the code inside Ray, a pace and a probe.
EDITS = {
    "catalog/accelerators.yaml": ("ray-llm:2.60.0-py312-cu130", "ray-llm:next"),
    "serving/server.py": ('"""', '"""Of another release. '),
    "render/scaling.py": ("_LOOK_BACK_S = 1.0, 3.0", "_LOOK_BACK_S = 1.0, 4.0"),
    "render/pod_template.py": ('"failureThreshold": 3', '"failureThreshold": 5'),
}


def another_release(folder: Path) -> Path:
    """Return a folder with the package of the operator as another release might have it."""
    package = folder / "another-release"
    shutil.copytree(ROOT / "operator", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in EDITS.items():
        path = package / "freehold" / name
        text = path.read_text()
        assert old in text, f"{name} no longer says {old}"
        path.write_text(text.replace(old, new, 1 if name.endswith(".py") else -1))
    return package


@pytest.fixture
def upgraded(world: World, tmp_path: Path, processes: Processes) -> Iterator[Operator]:
    """Another release of the operator in the place of the first."""
    world.look(world.operator)
    (namespace,) = {model.namespace for model in world.models.values()}
    world.operator.server.stop()
    only = (f"--namespace={namespace}", "--no-leader-election")
    package = another_release(tmp_path)
    yield start_operator(
        processes, world.cluster.kubeconfig, world.environment, *only, package=package
    )
    for server in processes.servers.values():
        server.stop()
    world.operator.server.start()
    wait_until_ready(world.operator)


def test_another_release_writes_to_no_child_until_a_user_does(
    world: World, upgraded: Operator
) -> None:
    before = world.children()
    world.look(upgraded)
    assert to_children(upgraded.writes()) == {}
    assert world.children() == before
    former = {name: seen_of(model) for name, model in world.models.items()}
    assert {it["commit"] for it in former.values()} == {COMMIT}
    assert [it["look back"] for it in former.values()] == [3.0] * 3

    # not even one that somebody deletes is another then
    cheapest = world.models["cheapest"]
    spec, uid = cheapest.service["spec"], cheapest.service["metadata"]["uid"]
    cheapest.kubectl("delete", "rayservice", cheapest.name)
    until("another RayService", lambda: uid_of(cheapest) not in (None, uid))
    cheapest.wait("Ready", "True")
    assert cheapest.service["spec"] == spec

    world.hub.commit = MOVED
    third = accelerator_class(OWN, "0.5", "mirror.example.com/ray-llm:third")
    world.cluster.apply(third, accelerator_class(PLAIN, "0.6"))
    world.look(upgraded)
    for model in world.models.values():
        model.edit(model={"contextLength": 4096})
    for name, model in world.models.items():
        model.until_settled(model_revision(before[name]))
    found = {name: seen_of(model) for name, model in world.models.items()}
    for name, it in found.items():
        assert it["commit"] == MOVED and it["look back"] == 4.0, name
        assert it["archive"] != former[name]["archive"], name
        assert it["candidate"] == former[name]["candidate"], name
    assert (former["wide"]["probe"], found["wide"]["probe"]) == (3, 5)
    assert found["wide"]["image"] == "rayproject/ray-llm:next"
    assert found["single"]["image"] == "mirror.example.com/ray-llm:third"

    # the way back is to what was decided then, not to what this release would decide
    single = world.models["single"]
    single.edit(model={"contextLength": SOURCE["contextLength"]})
    assert single.until_settled(single.status["currentRevision"]) == model_revision(
        before["single"]
    )
    assert seen_of(single) == former["single"]


def uid_of(model: Model) -> str | None:
    found = model.cluster.get("rayservice", model.name, model.namespace)
    return str(found["metadata"]["uid"]) if found else None


def model_revision(children: Object) -> str:
    (found,) = (it for it in children if it.startswith("ControllerRevision "))
    return found.removeprefix("ControllerRevision ")


def seen_of(model: Model) -> Object:
    """Return what a release decides, as the model's children show it."""
    (group,) = model.service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    spec = group["template"]["spec"]
    container, application = spec["containers"][0], model.application
    (archive,) = (it["configMap"]["name"] for it in spec["volumes"] if "configMap" in it)
    (llm,) = application["args"]["llm_configs"]
    return {
        "image": container["image"],
        "probe": container.get("readinessProbe", {}).get("failureThreshold"),
        "archive": archive,
        "look back": application["deployments"][0]["autoscaling_config"]["look_back_period_s"],
        "commit": llm["engine_kwargs"]["revision"],
        "candidate": group["groupName"],
    }
