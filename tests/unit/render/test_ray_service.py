"""The RayService of a model: the cluster, its head, its worker group and their pods."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from tests.unit.render.rendered import (
    ARCHIVE,
    NAMESPACE,
    Planned,
    case_files,
    config_of,
    container_of,
    group_of,
    llm_of,
    on,
    planned,
    planned_file,
    planned_text,
    service_of,
    two_nodes,
    worker_of,
)

from freehold.api.scalars import GIB, quantity_bytes
from freehold.render.engine_image import NoEngineImage
from freehold.render.objects import model_objects, object_yaml
from freehold.render.ray_service import ray_service
from freehold.render.request_path import DIRECT_ENVIRONMENT
from freehold.render.weights_location import weights_location

ASKS = {
    "FREEHOLD_AUTHENTICATION": "APIKey",
    "FREEHOLD_API_KEYS": "/var/run/freehold/api-keys",
}
SEARCH_PATH = {"PYTHONPATH": "/opt/freehold/serving.zip"}
LLAMA = {"source": "hf://meta-llama/Llama-3.1-8B-Instruct", "contextLength": 8192}
CPU_IMAGE = {"images": [{"accelerator": "cpu", "image": "registry.example/ray:1"}]}


def cluster_of(item: Planned) -> dict[str, Any]:
    return dict(service_of(item)["spec"]["rayClusterConfig"])


def head_of(item: Planned) -> dict[str, Any]:
    """Return the spec of the head's pod."""
    return dict(cluster_of(item)["headGroupSpec"]["template"]["spec"])


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def with_architecture(source: str, **spec: Any) -> Planned:
    """Return a model whose source cannot be read here, so that the manifest describes it."""
    architecture = planned()[1].model.to_dict()
    return planned(model={"source": source, "architecture": architecture, **spec})


def mount_of(item: Planned, volume: dict[str, Any]) -> dict[str, Any]:
    """Return where Ray's container of the workers has a volume."""
    (mount,) = [it for it in container_of(item)["volumeMounts"] if it["name"] == volume["name"]]
    return dict(mount)


def source_of(item: Planned) -> str:
    return str(llm_of(item)["model_loading_config"]["model_source"])


# --- The object and the cluster --------------------------------------------------------------


def test_the_object_bears_the_models_name_and_our_labels_alone() -> None:
    text = case_files()["cpu-on-a-cluster"].read_text()
    assert "app.kubernetes.io/instance" in text
    service = service_of(planned_text(text))
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    assert service["metadata"] == {
        "name": "tiny",
        "namespace": NAMESPACE,
        "labels": {"freehold.dev/model": "tiny", "app.kubernetes.io/managed-by": "freehold"},
    }
    assert "app.kubernetes.io/instance" not in json.dumps(service)


def test_the_serve_config_inside_is_the_one_that_was_given() -> None:
    item = planned()
    service = ray_service(*item, "a: 1\n", NAMESPACE, "code", "tokens")
    assert isinstance(service, dict)
    assert service["spec"]["serveConfigV2"] == "a: 1\n"


def test_the_serve_config_survives_the_manifests_yaml() -> None:
    item = planned()
    read = yaml.safe_load(object_yaml(service_of(item)))
    assert yaml.safe_load(read["spec"]["serveConfigV2"]) == config_of(item)
    assert "serveConfigV2: |\n" in object_yaml(service_of(item))


def test_a_value_that_occurs_twice_is_written_twice() -> None:
    """An anchor would tie fields together that a reader may want to change one by one."""
    shared = {"a": "1"}
    assert object_yaml({"x": shared, "y": [shared]}) == "x:\n  a: '1'\ny:\n- a: '1'\n"


@pytest.mark.parametrize(
    ("rollout", "expected"),
    [(None, "NewCluster"), ({}, "NewCluster"), ({"type": "Recreate"}, "None")],
)
def test_the_upgrade_strategy_is_explicit(rollout: Any, expected: str) -> None:
    spec = {"rollout": rollout} if rollout is not None else {}
    assert service_of(planned(**spec))["spec"]["upgradeStrategy"] == {"type": expected}


def test_a_suspended_model_is_suspended_and_keeps_nothing() -> None:
    item = planned(suspend=True, replicas=3)
    spec = service_of(item)["spec"]
    assert spec["suspend"] is True
    assert yaml.safe_load(spec["serveConfigV2"])["applications"] == []
    group = group_of(item)
    assert [group[name] for name in ("replicas", "minReplicas", "maxReplicas")] == [0, 0, 0]
    assert "suspend" not in service_of(planned())["spec"]


def test_the_head_stays_among_the_endpoints_so_that_zero_can_wake() -> None:
    assert not service_of(planned())["spec"].get("excludeHeadPodFromServeSvc")


def test_the_cluster_says_what_must_not_be_left_to_defaults() -> None:
    cluster = cluster_of(planned())
    assert cluster["rayVersion"] == "2.60.0"
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"] == {"version": "v2", "idleTimeoutSeconds": 60}
    assert cluster["authOptions"] == {"mode": "token", "secretName": "llama-tokens"}


def test_only_replica_counts_differ_when_only_bounds_do() -> None:
    """Anything else that differed would be a second cluster."""
    one, other = (cluster_of(planned(autoscaling=bounds)) for bounds in _bounds())
    assert one != other
    for cluster in (one, other):
        (group,) = cluster["workerGroupSpecs"]
        for name in ("replicas", "minReplicas", "maxReplicas"):
            del group[name]
    assert one == other


def _bounds() -> list[dict[str, Any]]:
    deep = {"minReplicas": 0, "maxReplicas": 8, "target": {"timeToFirstToken": "5s"}}
    return [{"minReplicas": 1, "maxReplicas": 2}, deep]


# --- The head --------------------------------------------------------------------------------


def test_nothing_of_the_model_is_placed_on_the_head() -> None:
    item = planned()
    group = cluster_of(item)["headGroupSpec"]
    assert group["rayStartParams"] == {"dashboard-host": "0.0.0.0", "num-cpus": "0"}
    (container,) = head_of(item)["containers"]
    assert "limits" not in container["resources"]
    assert "affinity" not in head_of(item)


def test_the_heads_ports_have_the_names_that_kuberay_looks_for() -> None:
    (container,) = head_of(planned())["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    expected = {"gcs": 6379, "dashboard": 8265, "client": 10001, "serve": 8000, "metrics": 8080}
    assert ports == expected


def test_head_and_workers_run_the_same_image_and_the_same_request_path() -> None:
    item = planned()
    (head,) = head_of(item)["containers"]
    worker = container_of(item)
    assert head["image"] == worker["image"] == "rayproject/ray-llm:2.60.0-py312-cu130"
    expected = DIRECT_ENVIRONMENT | SEARCH_PATH
    assert environment(head) == expected
    assert environment(worker) == expected | ASKS


def test_the_service_account_is_the_workers_not_the_heads() -> None:
    """The autoscaler in the head needs the one that KubeRay makes for it."""
    item = planned(serviceAccountName="models")
    assert worker_of(item)["serviceAccountName"] == "models"
    assert "serviceAccountName" not in head_of(item)
    assert "serviceAccountName" not in worker_of(planned())


# --- The worker group ------------------------------------------------------------------------


def test_the_group_bears_the_candidates_name_and_counts_replicas() -> None:
    group = group_of(planned(autoscaling={"minReplicas": 1, "maxReplicas": 6}))
    assert (group["groupName"], group["numOfHosts"]) == ("only", 1)
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (1, 1, 6)


def test_a_replica_over_two_nodes_is_one_of_the_group_with_two_pods() -> None:
    item = two_nodes()
    group = group_of(item)
    assert (group["numOfHosts"], group["replicas"], group["maxReplicas"]) == (2, 3, 3)
    assert container_of(item)["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    assert len(llm_of(item)["placement_group_config"]["bundles"]) == 2 * 8


@pytest.mark.parametrize(
    ("accelerator", "limits"),
    [("h100-80gb", {"nvidia.com/gpu": "1"}), ("mi300x-192gb", {"amd.com/gpu": "1"})],
)
def test_a_pod_takes_the_plans_devices_by_the_classs_resource(
    accelerator: str, limits: dict[str, str]
) -> None:
    images = {"images": [{"accelerator": accelerator, "image": "registry.example/ray:1"}]}
    container = container_of(planned(hardware=on(accelerator), engine=images))
    assert container["resources"]["limits"] == limits
    assert container["image"] == "registry.example/ray:1"


def test_a_group_at_zero_says_which_devices_a_pod_would_bring() -> None:
    """A shell, KubeRay and the autoscaler read it; escaped quotes would be lost on KubeRay."""
    images = {"images": [{"accelerator": "gaudi3-128gb", "image": "registry.example/ray:1"}]}
    group = group_of(planned(hardware=on("gaudi3-128gb"), engine=images))
    quoted = group["rayStartParams"]["resources"]
    assert quoted == "'{\"HPU\": 1}'"
    assert json.loads(quoted.strip("'")) == {"HPU": 1}
    assert "resources" not in group_of(planned())["rayStartParams"]


def test_a_cpu_pod_takes_no_device() -> None:
    container = container_of(planned_file(case_files()["cpu-on-a-cluster"]))
    assert "limits" not in container["resources"]


def every_size() -> list[Any]:
    items = {
        "one": planned(),
        "eight": planned(hardware=on("h100-80gb", parallelism={"tensor": 8})),
        "nodes": two_nodes(),
        "cpu": planned(
            hardware=on("cpu", parallelism={"tensor": 8}),
            engine=CPU_IMAGE,
            model=LLAMA | {"contextLength": 1024},
            workload={"promptTokens": 50, "outputTokens": 50},
        ),
    }
    return [pytest.param(item, id=name) for name, item in items.items()]


@pytest.mark.parametrize("item", every_size())
def test_a_pod_has_room_for_one_replica_and_not_for_two(item: Planned) -> None:
    """Serve adds the replica actor's CPU to the first bundle: 1 more than the bundles say."""
    bundles = llm_of(item)["placement_group_config"]["bundles"]
    layout = item[1].layout
    cpus = sum(bundle.get("CPU", 0) for bundle in bundles[: layout.devices_per_node])
    offered = int(group_of(item)["rayStartParams"]["num-cpus"])
    assert offered >= cpus + 1
    devices = item[1].accelerator.vendor != "cpu"
    assert devices or offered < 2 * (cpus + 1)
    assert container_of(item)["resources"]["requests"]["cpu"] == str(offered)


def test_a_pod_with_one_device_fits_the_smallest_node() -> None:
    """g2-standard-4: 4 cores and 16 GiB, of which GKE leaves 3.9 and about 13."""
    requests = container_of(planned())["resources"]["requests"]
    assert int(requests["cpu"]) <= 3
    assert quantity_bytes(requests["memory"]) <= 12 * GIB


def test_a_cpu_pod_asks_for_the_memory_that_the_plan_gives_its_workers() -> None:
    item = planned_file(case_files()["cpu-on-a-cluster"])
    memory, layout = item[1].memory, item[1].layout
    held = (memory.weights + memory.overhead + memory.kv_cache) * layout.devices
    asked = quantity_bytes(container_of(item)["resources"]["requests"]["memory"])
    assert held < asked < held + 5 * GIB


def test_shared_memory_is_memory_and_bounded() -> None:
    item = two_nodes()
    (volume, *_) = worker_of(item)["volumes"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "10Gi"}
    (mount, *_) = container_of(item)["volumeMounts"]
    assert (mount["name"], mount["mountPath"]) == (volume["name"], "/dev/shm")


# --- Weights and credentials -----------------------------------------------------------------


def test_a_claim_is_mounted_read_only_where_the_engine_looks() -> None:
    item = with_architecture("pvc://weights.models/llama/8b", contextLength=8192)
    (claim,) = [it for it in worker_of(item)["volumes"] if "persistentVolumeClaim" in it]
    assert claim["persistentVolumeClaim"] == {"claimName": "weights.models", "readOnly": True}
    (mount,) = [it for it in container_of(item)["volumeMounts"] if it["name"] == claim["name"]]
    assert mount["readOnly"] is True
    source = llm_of(item)["model_loading_config"]["model_source"]
    assert source == weights_location("pvc://weights.models/llama/8b")
    assert source == f"{mount['mountPath']}/llama/8b"
    assert "." not in claim["name"]


def test_a_folder_of_the_nodes_is_mounted_read_only_at_its_own_path() -> None:
    item = with_architecture("file:///srv/models/llama%208b/", contextLength=8192)
    (volume,) = [it for it in worker_of(item)["volumes"] if "hostPath" in it]
    # of the type Directory: a node without it keeps the pod from starting, and says so
    assert volume["hostPath"] == {"path": "/srv/models/llama 8b", "type": "Directory"}
    assert mount_of(item, volume) == {
        "name": volume["name"],
        "mountPath": "/srv/models/llama 8b",
        "readOnly": True,
    }
    assert source_of(item) == "/srv/models/llama 8b"
    assert "hostPath" not in json.dumps(head_of(item))


def test_an_images_files_are_mounted_by_the_kubelet() -> None:
    digest = f"sha256:{'0' * 64}"
    reference = f"registry.example:5000/models/llama:1@{digest}"
    credentials = {"secretRef": {"name": "registry-login"}}
    item = with_architecture(f"oci://{reference}", contextLength=8192, credentials=credentials)
    (volume,) = [it for it in worker_of(item)["volumes"] if "image" in it]
    assert volume["image"] == {"reference": reference}
    assert mount_of(item, volume)["readOnly"] is True
    assert mount_of(item, volume)["mountPath"] == source_of(item)
    assert worker_of(item)["imagePullSecrets"] == [{"name": "registry-login"}]
    assert "envFrom" not in container_of(item)


def test_a_bucket_is_what_ray_mirrors() -> None:
    for source in ("s3://bucket/llama", "gs://bucket/llama"):
        assert source_of(with_architecture(source, contextLength=8192)) == source
    # Ray takes an Azure account by its host alone
    told = {"abfss://models@account/llama", "abfss://models@account.dfs.core.windows.net/llama"}
    assert {source_of(with_architecture(it, contextLength=8192)) for it in told} == {
        "abfss://models@account.dfs.core.windows.net/llama"
    }


def test_googles_key_is_a_file_since_its_libraries_read_no_variable() -> None:
    credentials = {"secretRef": {"name": "gcs"}}
    item = with_architecture("gs://bucket/llama", contextLength=8192, credentials=credentials)
    (volume,) = [it for it in worker_of(item)["volumes"] if "secret" in it]
    items = [{"key": "credentials.json", "path": "credentials.json"}]
    assert volume["secret"] == {"secretName": "gcs", "items": items}
    file = environment(container_of(item))["GOOGLE_APPLICATION_CREDENTIALS"]
    assert file == f"{mount_of(item, volume)['mountPath']}/credentials.json"
    assert mount_of(item, volume)["readOnly"] is True


def test_azures_webhook_is_told_of_pods_with_an_account_and_no_keys() -> None:
    label = "azure.workload.identity/use"
    source = "abfss://models@account/llama"
    text = {"source": source, "architecture": planned()[1].model.to_dict()}
    by_account = planned(model={**text, "contextLength": 8192}, serviceAccountName="models")
    assert group_of(by_account)["template"]["metadata"]["labels"][label] == "true"
    secret = {"credentials": {"secretRef": {"name": "keys"}}, "contextLength": 8192}
    by_keys = planned(model={**text, **secret}, serviceAccountName="models")
    assert label not in group_of(by_keys)["template"]["metadata"]["labels"]


@pytest.mark.parametrize("scheme", ["hf", "s3", "gs", "abfss", "oci"])
def test_no_secret_is_named_in_the_serve_config_or_on_the_head(scheme: str) -> None:
    credentials = {"secretRef": {"name": "the-secret"}}
    source = f"{scheme}://models@account/llama"
    item = with_architecture(source, contextLength=8192, credentials=credentials)
    assert "the-secret" in json.dumps(worker_of(item))
    assert "the-secret" not in json.dumps(head_of(item))
    assert "the-secret" not in service_of(item)["spec"]["serveConfigV2"]


def test_a_hubs_token_is_a_reference_of_the_workers() -> None:
    item = planned(model=LLAMA | {"credentials": {"secretRef": {"name": "the-secret"}}})
    (entry,) = (it for it in container_of(item)["env"] if it["name"] == "HF_TOKEN")
    reference = {"name": "the-secret", "key": "HF_TOKEN", "optional": False}
    assert entry == {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": reference}}
    assert "HF_TOKEN" not in json.dumps(service_of(planned()))


def test_a_buckets_credentials_are_the_whole_secret() -> None:
    credentials = {"secretRef": {"name": "keys"}}
    item = with_architecture("s3://bucket/llama", contextLength=8192, credentials=credentials)
    container = container_of(item)
    assert container["envFrom"] == [{"secretRef": {"name": "keys", "optional": False}}]
    assert "HF_TOKEN" not in environment(container)


# --- Images ----------------------------------------------------------------------------------


def test_the_users_image_comes_before_the_classs() -> None:
    images = [
        {"accelerator": "h100-80gb", "image": "registry.example/other:1"},
        {"accelerator": "l4-24gb", "image": "registry.example/mine:1"},
    ]
    assert container_of(planned(engine={"images": images}))["image"] == "registry.example/mine:1"


@pytest.mark.parametrize("version", [None, "2.59.0"])
def test_without_an_image_for_this_ray_nothing_is_rendered(version: str | None) -> None:
    images = [{"engine": "vllm", "rayVersion": version, "image": "old"}] if version else []
    text = f"""
apiVersion: freehold.dev/v1alpha1
kind: AcceleratorClass
metadata: {{name: mine}}
spec:
  extends: l4-24gb
  images: {json.dumps(images)}
---
apiVersion: freehold.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: llama}}
spec:
  model: {json.dumps(LLAMA)}
  hardware: {{candidates: [{{name: only, accelerator: mine}}]}}
"""
    refused = model_objects(*planned_text(text), NAMESPACE, ARCHIVE)
    assert isinstance(refused, NoEngineImage)
    assert refused.path == "spec.engine.images"
    assert "mine" in refused.found
    assert "Ray 2.60.0" in refused.allowed
    assert "spec.engine.images" in refused.hint


def test_the_demo_model_has_no_image_to_run_on_a_cluster() -> None:
    refused = model_objects(*planned_file(case_files()["gemma-3-270m"]), NAMESPACE, ARCHIVE)
    assert isinstance(refused, NoEngineImage)


# --- Overlays --------------------------------------------------------------------------------


def test_overlays_reach_the_templates_that_they_are_for() -> None:
    worker = {
        "metadata": {"labels": {"team": "search"}},
        "spec": {"containers": [{"name": "ray-worker", "resources": {"requests": {"cpu": "9"}}}]},
    }
    item = planned(templates={"head": {"spec": {"priorityClassName": "high"}}, "worker": worker})
    assert head_of(item)["priorityClassName"] == "high"
    assert "priorityClassName" not in worker_of(item)
    labels = group_of(item)["template"]["metadata"]["labels"]
    assert labels == {"freehold.dev/model": "llama", "team": "search"}
    container = container_of(item)
    assert container["resources"]["requests"]["cpu"] == "9"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert environment(container) == DIRECT_ENVIRONMENT | SEARCH_PATH | ASKS


def test_an_overlay_that_asks_for_less_leaves_ray_its_cpus() -> None:
    small = {"containers": [{"name": "ray-worker", "resources": {"requests": {"cpu": "100m"}}}]}
    group = group_of(planned(templates={"worker": {"spec": small}}))
    assert group["rayStartParams"]["num-cpus"] == "3"
