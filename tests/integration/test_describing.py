"""A tenant's source is read by a pod of its own: made as told, believed as little as a manifest.

Nothing runs in the pods here; what they would leave in their termination message is written by the
test, as a kubelet writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.installation.describe_pods import end_describing
from tests.installation.kuberay import KubeRay
from tests.integration.one_model import Model
from tests.integration.operator import RACK, Operator, start_operator, until

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Cause, Fault
from freehold.catalog.builtin import builtin_catalog
from freehold.render.source_pin import WEIGHTS_CHECK, SourcePin
from freehold.sources.told import Told, tell

Object = dict[str, Any]
IMAGE = "registry.example/freehold:1"
SOURCE = "s3://models/llama"
DESCRIBES = "freehold.dev/task=describe"
DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
FILES = {"config.json": "01234567", "model.safetensors": "89abcdef"}


def shape() -> ModelDescription:
    """Return a small model's shape."""
    found = builtin_catalog().model("meta-llama/Llama-3.1-8B-Instruct")
    assert found is not None
    return found.description


@pytest.fixture(scope="module", name="operator")
def _operator(
    cluster: Cluster, kuberay: KubeRay, shared_processes: Processes
) -> Iterator[Operator]:
    with cluster.standing(list(RACK)):
        yield start_operator(
            shared_processes,
            cluster.kubeconfig,
            {"HTTP_PROXY": kuberay.ray.url},
            "--no-leader-election",
            f"--describe-image={IMAGE}",
        )


@pytest.fixture(name="model")
def _model(cluster: Cluster, namespace: str, kuberay: KubeRay, operator: Operator) -> Model:
    found = Model(cluster, namespace, "llama", kuberay)
    found.kubectl("create", "serviceaccount", "reader")
    return found


def manifest(source: str = SOURCE, **model: Any) -> Object:
    return {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "llama"},
        "spec": {
            "model": {"source": source, "contextLength": 8192, **model},
            "serviceAccountName": "reader",
            "hardware": {"candidates": [{"name": "l4", "accelerator": "l4-24gb"}]},
            "replicas": 1,
        },
    }


def describing(model: Model, *former: str) -> Object:
    """Wait for a pod that reads the source and runs; return it."""

    def found() -> Object | None:
        selector = f"freehold.dev/model={model.name},{DESCRIBES}"
        for pod in model.cluster.list("pods", model.namespace, selector):
            fresh = pod["metadata"]["uid"] not in former
            if fresh and pod["status"].get("phase") == "Running":
                return pod
        return None

    return until("a pod reads the source", found)  # type: ignore[return-value]


def end(model: Model, pod: Object, message: str, code: int = 0, reason: str = "") -> None:
    end_describing(model.cluster, pod, message, code, reason)


def no_pods(model: Model) -> None:
    selector = f"freehold.dev/model={model.name},{DESCRIBES}"
    until("its pod is gone", lambda: not model.cluster.list("pods", model.namespace, selector))


def llm_config(model: Model) -> Object:
    (found,) = model.application["args"]["llm_configs"]
    return dict(found)


def test_a_source_is_described_planned_and_pinned(model: Model) -> None:
    model.apply(manifest(credentials={"secretRef": {"name": "keys"}}, revision="march"))
    planned = model.wait("Planned", "False", "DescribingModel")
    pod = describing(model)
    assert f"The pod {pod['metadata']['name']} reads {SOURCE}." in model.told("Planned")
    assert model.told("Reconciling").startswith("True/DescribingModel")
    assert model.all("rayservices") == []

    (owner,) = pod["metadata"]["ownerReferences"]
    assert owner["uid"] == planned["metadata"]["uid"]
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert container["image"] == IMAGE
    told = ["describe", SOURCE, "--output=/dev/termination-log", "--revision=march"]
    assert container["args"] == told
    assert container["envFrom"] == [{"secretRef": {"name": "keys", "optional": False}}]
    assert spec["serviceAccountName"] == "reader"
    assert spec["automountServiceAccountToken"] is False
    assert not any("token" in it["name"] for it in spec["volumes"])
    assert spec["restartPolicy"] == "Never"

    end(model, pod, tell(Told(shape(), SourcePin(digest=DIGEST, files=FILES))))
    model.wait("Planned", "True", "PlanMade")
    config = until("a RayService", lambda: model.all("rayservices") and llm_config(model))
    assert config["callback_config"] == {
        "callback_class": WEIGHTS_CHECK,
        "callback_kwargs": {"digest": DIGEST, "files": FILES},
    }
    assert config["model_loading_config"]["model_source"] == SOURCE
    assert "revision" not in config["engine_kwargs"]
    (revision,) = model.all("controllerrevisions")
    assert revision["data"]["modelDigest"] == DIGEST
    assert revision["data"]["model"]["layers"] == 32
    no_pods(model)

    # replicas are no rollout; another revision is one, and the new files are what is served then
    model.edit(replicas=2)
    model.until("two are wanted", lambda it: it.get("desiredReplicas") == 2)
    no_pods(model)
    model.edit(model={"revision": "april"})
    pod = describing(model, pod["metadata"]["uid"])
    assert llm_config(model)["callback_config"]["callback_kwargs"]["digest"] == DIGEST
    end(model, pod, tell(Told(shape(), SourcePin(digest=OTHER))))

    def digest() -> bool:
        return bool(llm_config(model)["callback_config"]["callback_kwargs"]["digest"] == OTHER)

    until("the new files are pinned", digest)
    # and a spec that goes back gets the former files again, without looking
    model.edit(model={"revision": "march"})
    until("the former files are pinned", lambda: not digest())
    no_pods(model)


def test_of_a_model_whose_shape_is_stated_only_the_pin_is_asked(model: Model) -> None:
    model.apply(manifest("file:///srv/models/llama", architecture=shape().to_dict()))
    pod = describing(model)
    (container,) = pod["spec"]["containers"]
    assert container["args"][-1] == "--pin-only"
    (mount,) = [it for it in container["volumeMounts"] if it["name"] == "weights"]
    assert mount == {"name": "weights", "mountPath": "/srv/models/llama", "readOnly": True}
    # the folder lies on the accelerators' nodes, which are tainted
    assert {"operator": "Exists"} in pod["spec"]["tolerations"]
    end(model, pod, tell(Told(pin=SourcePin(digest=DIGEST))))
    model.wait("Planned", "True", "PlanMade")
    (revision,) = model.all("controllerrevisions")
    assert revision["data"]["modelDigest"] == DIGEST


def test_a_gated_models_commit_is_asked_with_the_users_token(model: Model) -> None:
    model.apply(
        manifest(
            "hf://meta-llama/Llama-3.1-8B-Instruct", credentials={"secretRef": {"name": "hub"}}
        )
    )
    pod = describing(model)
    (container,) = pod["spec"]["containers"]
    (token,) = [it for it in container["env"] if it["name"] == "HF_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"]["name"] == "hub"
    assert container["args"][-1] == "--pin-only"
    commit = "0123456789abcdef0123456789abcdef01234567"
    end(model, pod, tell(Told(pin=SourcePin(commit))))
    config = until("a RayService", lambda: model.all("rayservices") and llm_config(model))
    assert config["engine_kwargs"]["revision"] == commit
    assert "callback_config" not in config


NO_MODEL = "no config.json in s3://models/llama"
FAULT = Fault("spec.model.source", NO_MODEL, "a folder with it", cause=Cause.MODEL)


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        pytest.param("", "DescribeFailed", "it left no message (OOMKilled", id="none"),
        pytest.param("Traceback", "DescribeFailed", "its message is no JSON", id="no JSON"),
        pytest.param("[" * 5000, "DescribeFailed", "has more than 4096 bytes", id="huge"),
        pytest.param(
            json.dumps({"version": 1, "digest": DIGEST, "model": {"layers": -1}}),
            "DescribeFailed",
            "its model is none",
            id="no shape",
        ),
        pytest.param(
            tell(Told(pin=SourcePin(digest=DIGEST))),
            "DescribeFailed",
            "told no model",
            id="no model",
        ),
        pytest.param(tell(Told(faults=(FAULT,))), "UnknownModel", NO_MODEL, id="fault"),
        pytest.param(
            tell(Told(faults=(Fault("spec.model.source", "x", "y", cause=Cause.ACCESS),))),
            "GatedModel",
            "spec.model.source: found x",
            id="access",
        ),
        pytest.param(
            tell(Told(faults=(Fault("spec.model.source", "x", "y", cause=Cause.UNREACHABLE),))),
            "SourceUnreachable",
            "spec.model.source: found x",
            id="unreachable",
        ),
    ],
)
def test_what_is_no_answer_is_told_and_makes_nothing(
    model: Model, message: str, reason: str, words: str
) -> None:
    model.apply(manifest())
    pod = describing(model)
    end(model, pod, message, code=1, reason="OOMKilled" if not message else "")
    model.wait("Planned", "False", reason)
    assert words in model.told("Planned")
    assert model.told("Ready").startswith(f"False/{reason}")
    assert model.all("rayservices") == model.all("controllerrevisions") == []


def test_an_answer_about_another_shape_than_its_hardware_carries_is_planned_as_it_is(
    model: Model,
) -> None:
    known = builtin_catalog().models.values()
    large = max((it.description for it in known), key=lambda it: it.layers)
    model.apply(manifest())
    end(model, describing(model), tell(Told(large, SourcePin(digest=DIGEST))))
    model.wait("Planned", "False", "NothingFits")
    assert model.all("rayservices") == []


def test_an_edit_of_the_source_asks_anew_and_leaves_the_former_pod_behind(model: Model) -> None:
    model.apply(manifest())
    first = describing(model)
    model.edit(model={"source": "s3://models/another"})
    second = describing(model, first["metadata"]["uid"])
    assert second["spec"]["containers"][0]["args"][1] == "s3://models/another"

    def only() -> bool:
        found = model.cluster.list("pods", model.namespace, DESCRIBES)
        return [it["metadata"]["uid"] for it in found] == [second["metadata"]["uid"]]

    until("the former pod is gone", only)


def test_a_pod_that_may_not_be_made_is_told_in_the_api_servers_words(model: Model) -> None:
    model.apply(manifest() | {"spec": manifest()["spec"] | {"serviceAccountName": "nobody"}})
    model.wait("Planned", "False", "DescribeFailed")
    assert "The API server refuses the pod llama-describe-" in model.told("Planned")
    assert 'serviceaccount "nobody" not found' in model.told("Planned")


def test_a_claim_that_is_not_there_is_told(model: Model) -> None:
    model.apply(manifest("pvc://weights/llama"))
    model.wait("Planned", "False", "DescribeFailed")
    assert 'persistentvolumeclaim "weights" not found' in model.told("Planned")
    assert model.told("Reconciling").startswith("True/DescribeFailed")


def test_the_pod_goes_with_its_model(model: Model) -> None:
    model.apply(manifest())
    describing(model)
    model.kubectl("delete", "fmd", model.name)
    no_pods(model)


def test_a_paused_models_source_is_not_read(model: Model) -> None:
    paused = manifest()
    paused["metadata"]["annotations"] = {"freehold.dev/paused": "true"}
    model.apply(paused)
    model.wait("Planned", "False", "DescribingModel")
    assert "Its source is not read while it is paused." in model.told("Planned")
    no_pods(model)
