"""What a rollout froze comes back as it was, whatever the release that reads it would render."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.render.rendered import (
    NAMESPACE,
    Planned,
    case_files,
    mappings,
    objects_for,
    on,
    planned,
    planned_file,
    planned_text,
    two_nodes,
)

from freehold.api.faults import Fault
from freehold.plan.canonical import canonical
from freehold.plan.rollout import spec_parts
from freehold.render import engine_image, pod_size, pod_template, ray_service, request_path, scaling
from freehold.render.change import change, owned_differs
from freehold.render.engine_image import NoEngineImage
from freehold.render.numbers import Numbers, first_of, numbers_of
from freehold.render.objects import object_yaml
from freehold.render.revision import (
    Frozen,
    Revision,
    freeze,
    frozen_of,
    objects_of,
    read_revision,
    rescaled,
    revision_name,
)
from freehold.render.source_pin import WEIGHTS_CHECK, SourcePin
from freehold.serving_archive import serving_archive
from freehold.status.plan_status import plan_status

UID = "4a7c7ef1-0000-4000-8000-000000000000"
# Of the 1 MiB that the API server takes; a model has several.
MOST_BYTES = 160 * 1024
ABLE = [name for name in case_files() if name != "gemma-3-270m"]  # no image for its class


def frozen_for(item: Planned, commit: str | None = None, **pin: Any) -> Frozen:
    model, plan = item
    parts = spec_parts(model.spec.to_dict())
    status = plan_status(plan).to_dict()
    frozen = frozen_of(
        model,
        plan,
        parts,
        status,
        namespace=NAMESPACE,
        archive=serving_archive(),
        pin=SourcePin(commit, **pin),
    )
    assert isinstance(frozen, Frozen), str(frozen)
    return frozen


def raw_of(frozen: Frozen, model: str = "llama", number: int = 1) -> dict[str, Any]:
    return freeze(frozen, model, NAMESPACE, UID, number)


def stored(raw: dict[str, Any]) -> dict[str, Any]:
    """Return an object as an API server gives it back: keys sorted, 10.0 as 10."""
    return dict(json.loads(json.dumps(canonical(raw), sort_keys=True)))


def read(raw: dict[str, Any]) -> Revision:
    found = read_revision(raw)
    assert isinstance(found, Revision), str(found)
    return found


def text_of(objects: list[dict[str, Any]]) -> str:
    return json.dumps(objects, sort_keys=True)


def service_in(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = (it for it in objects if it["kind"] == "RayService")
    return found


def config_in(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(yaml.safe_load(service_in(objects)["spec"]["serveConfigV2"]))


def counts_in(objects: list[dict[str, Any]]) -> list[int]:
    """Return Serve's bounds, then the group's."""
    (application,) = config_in(objects)["applications"]
    block = application["deployments"][0]["autoscaling_config"]
    (group,) = service_in(objects)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    first = block.get("initial_replicas", block["min_replicas"])
    serve = [block["min_replicas"], first, block["max_replicas"]]
    return [*serve, *(group[name] for name in ("minReplicas", "replicas", "maxReplicas"))]


# --- The ControllerRevision ------------------------------------------------------------------


def test_the_object_is_a_controller_revision_of_the_model() -> None:
    raw = raw_of(frozen_for(planned()), number=7)
    digits = raw["metadata"]["name"].removeprefix("llama-")
    assert len(digits) == 10
    assert set(digits) <= set("0123456789abcdef")
    assert (raw["apiVersion"], raw["kind"], raw["revision"]) == ("apps/v1", "ControllerRevision", 7)
    assert raw["metadata"]["namespace"] == NAMESPACE
    assert raw["metadata"]["labels"] == {
        "freehold.dev/model": "llama",
        "app.kubernetes.io/managed-by": "freehold",
    }
    assert raw["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "freehold.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": "llama",
            "uid": UID,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_the_name_is_of_the_content_and_of_nothing_else() -> None:
    frozen = frozen_for(planned())
    name = raw_of(frozen)["metadata"]["name"]
    assert raw_of(frozen_for(planned()), number=9)["metadata"]["name"] == name
    assert raw_of(frozen_for(planned(replicas=5)))["metadata"]["name"] == name
    assert raw_of(frozen_for(planned(serviceAccountName="x")))["metadata"]["name"] != name
    assert raw_of(frozen_for(planned(), commit="0e9e39f"))["metadata"]["name"] != name


@pytest.mark.parametrize("case", ABLE)
def test_what_was_frozen_comes_back_from_the_api_server(case: str) -> None:
    model, plan = item = planned_file(case_files()[case])
    frozen = frozen_for(item, commit="0e9e39f")
    found = read(stored(raw_of(frozen, model.name, 3)))
    assert (found.model, found.number) == (model.name, 3)
    assert found.frozen.pin.commit == "0e9e39f"
    assert found.frozen.max_num_seqs == plan.max_num_seqs
    assert found.frozen.pods_per_replica == plan.layout.nodes
    assert found.frozen.plan == canonical(plan_status(plan).to_dict())
    assert found.decided.candidate == plan.candidate
    assert found.decided.parts == spec_parts(model.spec.to_dict())
    numbers = numbers_of(model.spec)
    assert text_of(objects_of(found.frozen, numbers)) == text_of(objects_of(frozen, numbers))


@pytest.mark.parametrize("case", ABLE)
def test_a_revision_is_small(case: str) -> None:
    model, _ = item = planned_file(case_files()[case])
    assert len(json.dumps(raw_of(frozen_for(item), model.name))) < MOST_BYTES


def test_what_cannot_be_rendered_is_not_frozen() -> None:
    model, plan = planned_file(case_files()["gemma-3-270m"])
    parts, status = spec_parts(model.spec.to_dict()), plan_status(plan).to_dict()
    refused = frozen_of(model, plan, parts, status, namespace=NAMESPACE, archive=b"")
    assert isinstance(refused, NoEngineImage)


def test_the_commit_is_what_the_engine_is_told() -> None:
    source = {"source": "hf://meta-llama/Llama-3.1-8B-Instruct", "revision": "main"}
    item = planned(model=source | {"contextLength": 8192})

    def told(commit: str | None) -> str:
        (application,) = config_in(objects_of(frozen_for(item, commit), Numbers(1, 1)))[
            "applications"
        ]
        return str(application["args"]["llm_configs"][0]["engine_kwargs"]["revision"])

    assert told("0e9e39f") == "0e9e39f"
    assert told(None) == "main"


def test_the_files_of_the_rollout_are_what_each_node_is_to_find() -> None:
    model, plan = planned_file(case_files()["weights-s3"])
    pin = {"digest": f"sha256:{'0' * 64}", "files": {"model.safetensors": "1", "config.json": "2"}}

    def check_in(frozen: Frozen) -> Any:
        (application,) = config_in(objects_of(frozen, Numbers(1, 1)))["applications"]
        return application["args"]["llm_configs"][0]["callback_config"]

    frozen = frozen_for((model, plan), None, **pin)
    found = read(stored(raw_of(frozen, model.name)))
    assert found.frozen.pin == SourcePin(None, **pin)
    assert check_in(found.frozen) == {"callback_class": WEIGHTS_CHECK, "callback_kwargs": pin}
    assert list(check_in(frozen)["callback_kwargs"]["files"]) == [
        "config.json",
        "model.safetensors",
    ]
    # nobody looked: that they are whole is all that can be asked
    assert check_in(frozen_for((model, plan))) == {"callback_class": WEIGHTS_CHECK}
    # other files restart replicas and need no other cluster
    other = frozen_for((model, plan), None, **pin | {"digest": f"sha256:{'1' * 64}"})
    services = [read(stored(raw_of(it, model.name))).ray_service for it in (other, frozen)]
    assert change(*services, exact=True).kind == "NewReplicas"


def test_a_hubs_files_are_held_by_their_commit_alone() -> None:
    (application,) = config_in(objects_of(frozen_for(planned(), "0e9e39f"), Numbers(1, 1)))[
        "applications"
    ]
    assert "callback_config" not in application["args"]["llm_configs"][0]


def damaged(change: Any) -> dict[str, Any]:
    raw = stored(raw_of(frozen_for(planned())))
    change(raw)
    return raw


def _without_label(raw: dict[str, Any]) -> None:
    del raw["metadata"]["labels"]["freehold.dev/model"]


def _forged(raw: dict[str, Any], **metadata: str) -> None:
    """Change the objects of a revision and name it after what it then holds."""
    for item in raw["data"]["objects"]:
        item["metadata"].update(metadata)
    raw["metadata"]["name"] = revision_name("llama", raw["data"])


DAMAGED = {
    "nothing in it": lambda raw: raw.clear(),
    "no data": lambda raw: raw.pop("data"),
    "data of another kind": lambda raw: raw.update(data=[1]),
    "no label": _without_label,
    "a label of another model": lambda raw: raw["metadata"]["labels"].update(
        {"freehold.dev/model": "other"}
    ),
    "another name": lambda raw: raw["metadata"].update(name="llama-0123456789"),
    "another format": lambda raw: raw["data"].update(format=2),
    "no objects": lambda raw: raw["data"].pop("objects"),
    "one object less": lambda raw: raw["data"]["objects"].pop(),
    "an image changed by hand": lambda raw: raw["data"]["objects"][2]["spec"].update(suspend=True),
    "a plan without a candidate": lambda raw: raw["data"]["plan"].pop("candidate"),
    "a part of the spec that is text": lambda raw: raw["data"]["spec"].update(rollout="x"),
    "no number": lambda raw: raw.pop("revision"),
    "objects of another namespace": lambda raw: _forged(raw, namespace="kube-system"),
    "objects of another name": lambda raw: _forged(raw, name="other"),
    "metadata of another kind": lambda raw: raw.update(metadata="x"),
}


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED)
def test_a_fault_and_no_traceback_for(change: Any) -> None:
    found = read_revision(damaged(change))
    assert isinstance(found, Fault)
    assert "delete it" in found.hint
    assert str(found).startswith("ControllerRevision ")


# --- The objects -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", ABLE)
def test_the_objects_are_those_of_the_renderer_in_the_order_of_application(case: str) -> None:
    model, _ = item = planned_file(case_files()[case])
    objects = objects_of(frozen_for(item), numbers_of(model.spec))
    assert [it["kind"] for it in objects] == ["ConfigMap", "RayService", "Service"]
    # who may connect is no part of a revision
    expected = [it for it in objects_for(item) if it["kind"] != "NetworkPolicy"]
    assert objects[2] == expected[2]
    name, other = objects[0]["metadata"]["name"], expected[0]["metadata"]["name"]
    assert object_yaml(objects[1]) == object_yaml(expected[1]).replace(other, name)


def test_every_object_has_its_owner() -> None:
    for item in objects_of(frozen_for(planned()), Numbers(1, 1), owner_uid=UID):
        (owner,) = item["metadata"]["ownerReferences"]
        assert (owner["name"], owner["uid"], owner["controller"]) == ("llama", UID, True)


def test_the_objects_bear_the_revisions_name_but_for_the_one_that_revisions_share() -> None:
    objects = objects_of(frozen_for(planned()), Numbers(1, 1), revision="llama-1")
    found = {it["kind"]: it["metadata"].get("annotations") for it in objects}
    name = {"freehold.dev/revision": "llama-1"}
    assert found == {"ConfigMap": None, "Service": name, "RayService": name}


def test_what_another_revision_only_lacks_is_applied() -> None:
    """Of a field that we no longer apply nothing is left in what we would apply."""
    accounted, plain = (
        objects_of(frozen_for(planned(**spec)), Numbers(1, 1), revision=name)
        for spec, name in (({"serviceAccountName": "models"}, "llama-1"), ({}, "llama-2"))
    )
    assert owned_differs(plain[1], accounted[1]) == ["metadata.annotations.freehold.dev/revision"]


def test_the_service_leads_to_the_cluster_that_serves() -> None:
    frozen = frozen_for(two_nodes())
    anywhere = objects_of(frozen, Numbers(1, 1))[2]["spec"]["selector"]
    assert anywhere == {
        "freehold.dev/model": "llama",
        "ray.io/node-type": "head",
        "ray.io/serve": "true",
    }
    there = objects_of(frozen, Numbers(1, 1), ray_cluster="llama-4rg5v")[2]["spec"]["selector"]
    assert there == {**anywhere, "ray.io/cluster": "llama-4rg5v"}


COUNTS = [
    pytest.param({}, [1, 1, 1], id="one by default"),
    pytest.param({"replicas": 3}, [3, 3, 3], id="a fixed count"),
    pytest.param({"autoscaling": {"minReplicas": 2, "maxReplicas": 9}}, [2, 2, 9], id="bounds"),
    pytest.param({"autoscaling": {"minReplicas": 0, "maxReplicas": 4}}, [0, 0, 4], id="to zero"),
]


@pytest.mark.parametrize(("spec", "expected"), COUNTS)
def test_the_numbers_are_the_users(spec: dict[str, Any], expected: list[int]) -> None:
    model, _ = planned(**spec)
    objects = objects_of(frozen_for(planned()), numbers_of(model.spec))
    assert counts_in(objects) == expected * 2


@pytest.mark.parametrize(
    ("initial", "expected"), [(None, 2), (0, 2), (2, 2), (5, 5), (40, 9)], ids=str
)
def test_a_new_cluster_begins_with_as_many_as_there_are_within_bounds(
    initial: int | None, expected: int
) -> None:
    objects = objects_of(frozen_for(planned()), Numbers(2, 9, initial=initial))
    assert counts_in(objects) == [2, expected, 9] * 2
    assert first_of(service_in(objects), "only") == expected
    # not told where it is the least, since Serve would go back to it at every change
    (application,) = config_in(objects)["applications"]
    block = application["deployments"][0]["autoscaling_config"]
    assert ("initial_replicas" in block) == (expected > 2)


@pytest.mark.parametrize(("spec", "suspend"), [({"suspend": True}, True), ({"replicas": 0}, False)])
def test_without_replicas_there_is_no_application(spec: dict[str, Any], suspend: bool) -> None:
    model, _ = planned(**spec)
    objects = objects_of(frozen_for(planned()), numbers_of(model.spec))
    assert config_in(objects) == {"proxy_location": "EveryNode", "applications": []}
    service = service_in(objects)["spec"]
    assert service.get("suspend", False) is suspend
    (group,) = service["rayClusterConfig"]["workerGroupSpecs"]
    assert [group[name] for name in ("minReplicas", "replicas", "maxReplicas")] == [0, 0, 0]


_NUMBERS = st.builds(
    lambda least, more, suspend, initial: Numbers(least, least + more, suspend, initial),
    st.integers(0, 50),
    st.integers(0, 50),
    st.booleans(),
    st.none() | st.integers(0, 120),
)
_OWNED_BY_USER = {
    "suspend",
    "serveConfigV2",
    "replicas",
    "minReplicas",
    "maxReplicas",
    "min_replicas",
    "initial_replicas",
    "max_replicas",
}
_FROZEN = frozen_for(two_nodes())


def without_numbers(value: Any) -> Any:
    copied = copy.deepcopy(value)
    for _, found in [*mappings(copied)]:
        for name in _OWNED_BY_USER & found.keys():
            del found[name]
    return copied


@settings(deadline=None)  # other tests use the processor
@given(_NUMBERS)
def test_the_overlay_touches_nothing_else(numbers: Numbers) -> None:
    before = text_of([dict(it) for it in _FROZEN.objects])
    objects = objects_of(_FROZEN, numbers)
    assert without_numbers(objects) == without_numbers([*_FROZEN.objects])
    if numbers.most:
        frozen_config = config_in([dict(it) for it in _FROZEN.objects])
        assert without_numbers(config_in(objects)) == without_numbers(frozen_config)
    assert text_of([dict(it) for it in _FROZEN.objects]) == before


@settings(deadline=None)  # other tests use the processor
@given(_NUMBERS)
def test_the_same_input_gives_the_same_bytes(numbers: Numbers) -> None:
    again = read(stored(raw_of(_FROZEN))).frozen
    assert text_of(objects_of(_FROZEN, numbers)) == text_of(objects_of(again, numbers))


# --- Another release -------------------------------------------------------------------------


@pytest.fixture(name="other_release")
def _other_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release's policy, image, sizes, probe and request path in the renderer."""
    monkeypatch.setattr(scaling, "_LOOK_BACK_S", 12.0)
    monkeypatch.setattr(scaling, "DEFAULT_TIME_TO_FIRST_TOKEN", "9s")
    monkeypatch.setattr(engine_image, "RAY_VERSION", "2.61.0")
    monkeypatch.setattr(ray_service, "RAY_VERSION", "2.61.0")
    monkeypatch.setattr(pod_template, "_raylet_probe", lambda: {"tcpSocket": {"port": 1}})
    monkeypatch.setitem(request_path.DIRECT_ENVIRONMENT, "NEW_IN_THIS_RELEASE", "1")
    monkeypatch.setattr(pod_size, "_HEAD_CORES", 3)


def test_an_operator_upgrade_writes_the_same_bytes(request: pytest.FixtureRequest) -> None:
    images = {"images": [{"accelerator": "h100-80gb", "image": "registry.example/ray:1"}]}
    hardware = on("h100-80gb", parallelism={"tensor": 8, "pipeline": 2})
    model = {"source": "hf://meta-llama/Llama-3.1-405B-Instruct", "contextLength": 8192}
    spec: dict[str, Any] = {"model": model, "hardware": hardware, "engine": images}
    raw = stored(raw_of(frozen_for(planned(**spec))))
    before = text_of(objects_of(read(raw).frozen, Numbers(1, 3)))
    request.getfixturevalue("other_release")
    assert text_of(objects_of(read(raw).frozen, Numbers(1, 3))) == before
    rendered = frozen_for(planned(**spec))
    anew = text_of(objects_of(rendered, Numbers(1, 3)))
    for new in (
        "2.61.0",
        "NEW_IN_THIS_RELEASE",
        "tcpSocket",
        "look_back_period_s: 12.0",
        '"cpu": "3"',
    ):
        assert new not in before
        assert new in anew, new


# --- Scaling settings ------------------------------------------------------------------------


def test_other_scaling_settings_change_their_block_and_nothing_else() -> None:
    deep = {"minReplicas": 0, "maxReplicas": 3, "target": {"timeToFirstToken": "7s"}}
    deep["scaleToZeroAfter"] = "90s"
    model, _ = planned(autoscaling=deep)
    frozen = frozen_for(planned())
    parts = spec_parts(model.spec.to_dict())
    changed = rescaled(frozen, model, parts)
    old, new = (config_in([dict(i) for i in it.objects]) for it in (frozen, changed))
    block = new["applications"][0]["deployments"][0]["autoscaling_config"]
    assert (block["target_ongoing_requests"], block["downscale_to_zero_delay_s"]) == (7.0, 90.0)
    assert [block[f"{it}_replicas"] for it in ("min", "max")] == [1, 1]
    for config in (old, new):
        del config["applications"][0]["deployments"][0]["autoscaling_config"]
    assert old == new
    assert without_numbers([*changed.objects]) == without_numbers([*frozen.objects])
    assert changed.parts == parts
    assert raw_of(changed)["metadata"]["name"] != raw_of(frozen)["metadata"]["name"]


def test_other_scaling_settings_carry_an_old_releases_objects_over(
    request: pytest.FixtureRequest,
) -> None:
    frozen = frozen_for(two_nodes())
    model, _ = planned(
        autoscaling={"minReplicas": 1, "maxReplicas": 2, "target": {"timeToFirstToken": "1s"}}
    )
    request.getfixturevalue("other_release")
    changed = rescaled(frozen, model, spec_parts(model.spec.to_dict()))
    assert without_numbers([*changed.objects]) == without_numbers([*frozen.objects])
    text = service_in([dict(it) for it in changed.objects])["spec"]["serveConfigV2"]
    assert "look_back_period_s: 12.0" in text


# --- Names -----------------------------------------------------------------------------------


def test_the_names_of_the_longest_model_fit() -> None:
    """63 characters for a Service and a label; KubeRay's 47 for a RayService."""
    name = "m" * 40
    text = yaml.safe_dump(
        {
            "apiVersion": "freehold.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name},
            "spec": {
                "model": {"source": "hf://meta-llama/Llama-3.1-8B-Instruct"},
                "hardware": on("h100-80gb"),
            },
        }
    )
    frozen = frozen_for(planned_text(text))
    objects = objects_of(frozen, Numbers(1, 1))
    names = {it["kind"]: it["metadata"]["name"] for it in [raw_of(frozen, name), *objects]}
    assert len(names["RayService"]) <= 47
    assert max(map(len, names.values())) <= 63
    # KubeRay's longest, of a RayCluster named after the RayService
    assert len(f"{names['RayService']}-abcde-head-svc") <= 63
