"""What applying a RayService costs, what of an object is ours, and the bounds of a live cluster."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.render.rendered import NAMESPACE, objects_for, planned, service_of, two_nodes

from freehold.render.change import change, owned_differs, ray_cluster_bounds_patch
from freehold.render.difference import with_false
from freehold.render.endpoint_service import endpoint_service, leading_to
from freehold.render.serve_config import to_yaml

SERVICE = service_of(two_nodes())
Edit = Callable[[dict[str, Any]], Any]
CLUSTER = "spec.rayClusterConfig"
GROUP = f"{CLUSTER}.workerGroupSpecs[only]"
SERVER = "spec.serveConfigV2.applications[llama].deployments[FreeholdServer:llama]"


def cluster(service: dict[str, Any]) -> dict[str, Any]:
    return dict(service["spec"])["rayClusterConfig"]  # type: ignore[no-any-return]


def group(service: dict[str, Any]) -> dict[str, Any]:
    return cluster(service)["workerGroupSpecs"][0]  # type: ignore[no-any-return]


def worker(service: dict[str, Any]) -> dict[str, Any]:
    return group(service)["template"]["spec"]  # type: ignore[no-any-return]


def edited(edit: Edit, service: dict[str, Any] = SERVICE) -> dict[str, Any]:
    changed = copy.deepcopy(service)
    edit(changed)
    return changed


def serving(edit: Edit) -> Edit:
    """Return the edit of a RayService that edits its only application."""

    def on_text(service: dict[str, Any]) -> None:
        config = yaml.safe_load(service["spec"]["serveConfigV2"])
        edit(config["applications"][0])
        service["spec"]["serveConfigV2"] = to_yaml(config)

    return on_text


def deploying(**fields: Any) -> Edit:
    """Return the edit that sets fields of the engine's deployment."""
    return serving(lambda application: application["deployments"][0].update(fields))


def scaling(**fields: Any) -> Edit:
    def on_block(application: dict[str, Any]) -> None:
        application["deployments"][0]["autoscaling_config"].update(fields)

    return serving(on_block)


def without_application(service: dict[str, Any]) -> None:
    config = yaml.safe_load(service["spec"]["serveConfigV2"]) | {"applications": []}
    service["spec"]["serveConfigV2"] = to_yaml(config)


def appended(service: dict[str, Any]) -> None:
    added = {**copy.deepcopy(group(service)), "groupName": "second"}
    cluster(service)["workerGroupSpecs"].append(added)


def put_first(service: dict[str, Any]) -> None:
    added = {**copy.deepcopy(group(service)), "groupName": "second"}
    cluster(service)["workerGroupSpecs"].insert(0, added)


IN_PLACE: dict[str, tuple[Edit, str]] = {
    "Serve's bounds": (
        scaling(min_replicas=2, max_replicas=9),
        f"{SERVER}.autoscaling_config.min_replicas: 3 becomes 2",
    ),
    "a scaling delay": (
        scaling(upscale_delay_s=1.5),
        f"{SERVER}.autoscaling_config.upscale_delay_s: 0.0 becomes 1.5",
    ),
    "requests at once": (
        deploying(max_ongoing_requests=7),
        f"{SERVER}.max_ongoing_requests: ",
    ),
    "a surge": (deploying(max_surge_percent=100), f"{SERVER}.max_surge_percent: 25 becomes 100"),
    "no application": (
        without_application,
        "spec.serveConfigV2.applications[llama] is taken away",
    ),
    "a group's bounds": (
        lambda it: group(it).update(maxReplicas=9),
        f"{GROUP}.maxReplicas: 3 becomes 9",
    ),
    "a group's replicas": (
        lambda it: group(it).update(replicas=9),
        f"{GROUP}.replicas: 3 becomes 9",
    ),
    "a group appended": (appended, f"{CLUSTER}.workerGroupSpecs[second] is added"),
    "suspend": (
        lambda it: it["spec"].update(suspend=True),
        "spec.suspend: false becomes true",
    ),
    "another strategy": (
        lambda it: it["spec"].update(upgradeStrategy={"type": "None"}),
        'spec.upgradeStrategy.type: "NewCluster" becomes "None"',
    ),
    "a toleration": (
        lambda it: worker(it)["tolerations"][0].update(effect="NoExecute"),
        "(taken up by the next cluster)",
    ),
    "where proxies run": (
        lambda it: it["spec"].update(
            serveConfigV2=it["spec"]["serveConfigV2"].replace("EveryNode", "HeadOnly")
        ),
        'spec.serveConfigV2.proxy_location: "EveryNode" becomes "HeadOnly" (taken up',
    ),
}
NEW_REPLICAS: dict[str, tuple[Edit, str]] = {
    "an engine argument": (
        serving(lambda it: it["args"]["llm_configs"][0]["engine_kwargs"].update(seed=1)),
        "engine_kwargs.seed: nothing becomes 1",
    ),
    "another import path": (
        serving(lambda it: it.update(import_path="a:b")),
        'import_path: "ray.serve.llm:build_openai_app" becomes "a:b"',
    ),
    "an environment of the application": (
        serving(lambda it: it["runtime_env"]["env_vars"].update({"A": "1"})),
        'runtime_env.env_vars.A: nothing becomes "1"',
    ),
    "a policy": (
        scaling(policy={"policy_function": "a:b"}),
        "autoscaling_config.policy.policy_function: ",
    ),
    "options of the actor": (
        deploying(ray_actor_options={"num_cpus": 2}),
        "ray_actor_options: nothing becomes",
    ),
    "a router": (
        deploying(request_router_config={"request_router_class": "a:b"}),
        "request_router_config: nothing becomes",
    ),
    "another deployment": (
        serving(lambda it: it["deployments"][0].update(name="Other:llama")),
        "deployments[Other:llama]: nothing becomes",
    ),
}
NEW_CLUSTER: dict[str, tuple[Edit, str]] = {
    "an image": (
        lambda it: worker(it)["containers"][0].update(image="registry.example/ray:2"),
        f"{GROUP}.template.spec.containers[ray-worker].image: "
        '"rayproject/ray-llm:2.60.0-py312-cu130" becomes "registry.example/ray:2"',
    ),
    "a variable": (
        lambda it: worker(it)["containers"][0]["env"].append({"name": "A", "value": "1"}),
        "env[A]: nothing becomes",
    ),
    "another idle time": (
        lambda it: cluster(it)["autoscalerOptions"].update(idleTimeoutSeconds=5),
        "idleTimeoutSeconds: 60 becomes 5",
    ),
    "nodes of a replica": (
        lambda it: group(it).update(numOfHosts=3),
        f"{GROUP}.numOfHosts: 2 becomes 3",
    ),
    "a head's memory": (
        lambda it: cluster(it)["headGroupSpec"]["template"]["spec"]["containers"][0]["resources"][
            "requests"
        ].update(memory="9Gi"),
        'requests.memory: "8Gi" becomes "9Gi"',
    ),
    "a group before the others": (put_first, "workerGroupSpecs[second]: nothing becomes"),
    "another group": (
        lambda it: group(it).update(groupName="other"),
        "workerGroupSpecs[other]: nothing becomes",
    ),
}


def kinds() -> list[Any]:
    return [
        pytest.param(kind, edit, sentence, id=f"{kind}: {name}")
        for kind, table in (
            ("InPlace", IN_PLACE),
            ("NewReplicas", NEW_REPLICAS),
            ("NewCluster", NEW_CLUSTER),
        )
        for name, (edit, sentence) in table.items()
    ]


@pytest.mark.parametrize(("kind", "edit", "sentence"), kinds())
def test_the_kind_of_a_change(kind: str, edit: Edit, sentence: str) -> None:
    found = change(edited(edit), SERVICE)
    assert found.kind == kind, found
    assert any(sentence in reason for reason in found.reasons), found.reasons
    assert owned_differs(edited(edit), SERVICE)
    back = change(SERVICE, edited(edit), exact=True)
    assert back.kind in {kind, "NewCluster"}
    assert back.reasons


def test_the_costliest_reason_comes_first() -> None:
    both = edited(NEW_CLUSTER["an image"][0], edited(IN_PLACE["a surge"][0]))
    found = change(both, SERVICE)
    assert found.kind == "NewCluster"
    assert ["image" in reason for reason in found.reasons] == [True, False]


def test_values_are_cut_where_they_are_long() -> None:
    long = edited(lambda it: worker(it)["containers"][0].update(image="x" * 999))
    (reason,) = change(long, SERVICE).reasons
    assert len(reason) < 300


def others(service: dict[str, Any]) -> dict[str, Any]:
    """Return a RayService as the API server and KubeRay keep it."""
    live: dict[str, Any] = json.loads(json.dumps(service))
    live["metadata"] |= {"uid": "1", "finalizers": ["ray.io/rayservice-finalizer"]}
    live["status"] = {"observedGeneration": 1}
    live["spec"] |= {"excludeHeadPodFromServeSvc": False, "suspend": False}
    for item in cluster(live)["workerGroupSpecs"]:
        item["priority"] = 0
        item["template"]["spec"]["containers"][0]["ports"][0]["protocol"] = "TCP"
    head = cluster(live)["headGroupSpec"]["template"]["spec"]
    head["containers"].append({"name": "somebody-elses", "image": "x", "resources": {}})
    return live


def test_what_others_add_is_no_difference() -> None:
    live = others(SERVICE)
    assert owned_differs(SERVICE, live) == []
    assert change(SERVICE, live).kind == "Nothing"


def test_another_form_of_a_quantity_is_no_difference() -> None:
    live = copy.deepcopy(SERVICE)
    amounts = worker(live)["containers"][0]["resources"]["requests"]
    amounts |= {"cpu": 10, "memory": "53248Mi"}
    worker(live)["volumes"][0]["emptyDir"]["sizeLimit"] = "10240Mi"
    assert owned_differs(SERVICE, live) == []
    amounts["memory"] = "53249Mi"
    (field,) = owned_differs(SERVICE, live)
    assert field == f"{GROUP}.template.spec.containers[ray-worker].resources.requests.memory"


def test_a_label_like_an_amount_is_no_quantity() -> None:
    before = {"metadata": {"annotations": {"size": "1024Mi"}}}
    assert owned_differs({"metadata": {"annotations": {"size": "1Gi"}}}, before)


def test_what_is_false_by_being_left_out_is_written_out_over_true() -> None:
    """An apply that leaves a field out leaves it to whoever made it true."""
    live = edited(lambda it: it["spec"].update(suspend=True, excludeHeadPodFromServeSvc=False))
    meant = with_false(SERVICE, live)
    assert meant == {**SERVICE, "spec": {**SERVICE["spec"], "suspend": False}}
    assert owned_differs(SERVICE, meant) == []
    assert with_false(SERVICE, SERVICE) == SERVICE


DRIFT: dict[str, tuple[Edit, str]] = {
    "suspended by hand": (lambda it: it["spec"].update(suspend=True), "spec.suspend"),
    "the head out of the endpoints": (
        lambda it: it["spec"].update(excludeHeadPodFromServeSvc=True),
        "spec.excludeHeadPodFromServeSvc",
    ),
    "an image by hand": (
        lambda it: worker(it)["containers"][0].update(image="x"),
        f"{GROUP}.template.spec.containers[ray-worker].image",
    ),
    "a label taken away": (
        lambda it: it["metadata"]["labels"].pop("freehold.dev/model"),
        "metadata.labels.freehold.dev/model",
    ),
    "a group added to a list that is one value": (appended, f"{CLUSTER}.workerGroupSpecs[second]"),
    "a toleration added": (
        lambda it: worker(it)["tolerations"].append({"key": "x", "operator": "Exists"}),
        f"{GROUP}.template.spec.tolerations",
    ),
    "the Serve config by hand": (
        lambda it: it["spec"].update(serveConfigV2="{"),
        "spec.serveConfigV2",
    ),
    "true where 1 stood": (
        lambda it: cluster(it).update(enableInTreeAutoscaling=1),
        f"{CLUSTER}.enableInTreeAutoscaling",
    ),
}


@pytest.mark.parametrize(("edit", "field"), DRIFT.values(), ids=DRIFT)
def test_drift_is_seen(edit: Edit, field: str) -> None:
    found = owned_differs(SERVICE, edited(edit, others(SERVICE)))
    assert any(it.startswith(field) for it in found), found


def test_an_owner_or_a_port_of_somebody_else_is_theirs() -> None:
    ours = {"uid": "1", "name": "llama", "controller": True}
    desired = endpoint_service("llama", NAMESPACE)
    desired["metadata"]["ownerReferences"] = [ours]
    live = copy.deepcopy(desired)
    live["metadata"]["ownerReferences"] = [{"uid": "2", "name": "other"}, ours]
    live["spec"] |= {"clusterIP": "10.0.0.1", "sessionAffinity": "None"}
    live["spec"]["ports"].append({"name": "theirs", "port": 9, "targetPort": 9})
    assert owned_differs(desired, live) == []


@pytest.mark.parametrize("was", [None, "llama-aaaaa"])
def test_the_service_follows_the_cluster(was: str | None) -> None:
    service = endpoint_service("llama", NAMESPACE)
    found = owned_differs(leading_to(service, "llama-bbbbb"), leading_to(service, was))
    assert found == ["spec.selector.ray.io/cluster"]


def test_a_selector_is_one_value() -> None:
    """Another label in it would lead nowhere."""
    service = endpoint_service("llama", NAMESPACE)
    live = copy.deepcopy(service)
    live["spec"]["selector"]["other"] = "label"
    assert owned_differs(service, live) == ["spec.selector.other"]


def test_what_is_taken_away_counts_between_two_revisions() -> None:
    accounted = service_of(planned(serviceAccountName="models"))
    plain = service_of(planned())
    assert change(plain, accounted).kind == "Nothing"
    found = change(plain, accounted, exact=True)
    assert found.kind == "NewCluster"
    assert found.reasons == (f'{GROUP}.template.spec.serviceAccountName: "models" becomes nothing',)


def test_a_live_serve_config_that_is_none_is_no_crash() -> None:
    for text in ("{", "[]", "", None):
        broken = edited(lambda it, text=text: it["spec"].update(serveConfigV2=text))  # type: ignore[misc]
        assert change(SERVICE, broken).kind == "InPlace"


@pytest.mark.parametrize("item", objects_for(two_nodes()), ids=lambda it: str(it["kind"]))
def test_nothing_differs_from_itself(item: dict[str, Any]) -> None:
    assert owned_differs(item, copy.deepcopy(item)) == []


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "a", "b", "selector"]), inner, max_size=3)
    ),
    max_leaves=15,
)
_OBJECTS = st.dictionaries(st.sampled_from(["spec", "name", "a"]), _PLAIN, max_size=3)


@settings(deadline=None)
@given(_OBJECTS, _OBJECTS)
def test_no_difference_means_that_applying_would_change_nothing(
    desired: dict[str, Any], live: dict[str, Any]
) -> None:
    assert owned_differs(desired, copy.deepcopy(desired)) == []
    if not owned_differs(desired, live):
        assert all(name in live for name in desired)


# --- The bounds of a live cluster ------------------------------------------------------------


def live_cluster(*groups: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"workerGroupSpecs": list(groups)}}


def a_group(name: str, least: int | None, most: int | None, **more: Any) -> dict[str, Any]:
    bounds = {"minReplicas": least, "maxReplicas": most}
    given = {key: value for key, value in bounds.items() if value is not None}
    return {"groupName": name, "replicas": 5, **given, **more}


SCALED_DOWN = {"scaleStrategy": {"workersToDelete": ["a-pod"]}}
BOUNDS = [
    pytest.param([a_group("a", 1, 3)], [a_group("a", 1, 3, **SCALED_DOWN)], None, id="the same"),
    pytest.param([a_group("a", 1, 3)], [], None, id="no groups"),
    pytest.param([a_group("a", 1, 3)], [a_group("b", 0, 0)], None, id="another group"),
    pytest.param(
        [a_group("a", 1, 4)],
        [a_group("a", 1, 3, **SCALED_DOWN)],
        [(0, "test", "groupName", "a"), (0, "add", "maxReplicas", 4)],
        id="one bound",
    ),
    pytest.param(
        [a_group("a", 1, 3), a_group("b", 2, 4)],
        [a_group("x", 0, 0), a_group("b", 1, 1), a_group("a", 0, 3)],
        [
            (1, "test", "groupName", "b"),
            (1, "add", "minReplicas", 2),
            (1, "add", "maxReplicas", 4),
            (2, "test", "groupName", "a"),
            (2, "add", "minReplicas", 1),
        ],
        id="groups in another order",
    ),
    pytest.param(
        [a_group("a", 1, 3)],
        [a_group("a", None, None)],
        [
            (0, "test", "groupName", "a"),
            (0, "add", "minReplicas", 1),
            (0, "add", "maxReplicas", 3),
        ],
        id="no bounds yet",
    ),
]


@pytest.mark.parametrize(
    ("surge", "standing", "most"),
    [
        pytest.param(1, {}, 4, id="room for one that takes another's place"),
        pytest.param(0, {"a": 5, "b": 9}, 5, id="what stands is not taken away at work"),
        pytest.param(0, {"a": 2}, 3, id="as asked for"),
        pytest.param(1, {"a": 4}, 4, id="the one more stands already"),
    ],
)
def test_a_group_has_room_for_what_is_replaced_and_what_ends_its_answers(
    surge: int, standing: dict[str, int], most: int
) -> None:
    live = live_cluster(a_group("a", 1, 0))
    patch = ray_cluster_bounds_patch([a_group("a", 1, 3)], live, surge=surge, standing=standing)
    assert patch is not None and patch[-1]["value"] == most


@pytest.mark.parametrize(("groups", "live", "expected"), BOUNDS)
def test_only_bounds_are_patched_and_each_groups_name_is_tested(
    groups: list[Any], live: list[Any], expected: Any
) -> None:
    patch = ray_cluster_bounds_patch(groups, live_cluster(*live))
    if expected is None:
        assert patch is None
        return
    assert patch == [
        {"op": op, "path": f"/spec/workerGroupSpecs/{i}/{field}", "value": value}
        for i, op, field, value in expected
    ]
