"""A cluster whose state is in a Redis: what names it, who answers, and what stays as it is."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.kuberay_stand_in.pods import head_pod, worker_pod
from tests.kuberay_stand_in.spec import full_update
from tests.network import matrix
from tests.network.evaluation import Network, pod_of, reached
from tests.network.evaluation import Pod as Client
from tests.unit.render.rendered import (
    ARCHIVE,
    NAMESPACE,
    Planned,
    objects_for,
    planned,
    two_nodes,
)
from tests.unit.render.test_kuberay_schema import problems

from freehold.api.faults import Fault
from freehold.render.change import change
from freehold.render.endpoint_service import endpoint_service, leading_to
from freehold.render.gcs_fault_tolerance import GcsFaultTolerance, SecretKey, workers_answer
from freehold.render.network_policies import network_policies
from freehold.render.objects import canonical_objects

Object = dict[str, Any]
ROLES: tuple[matrix.Role, ...] = ("head", "worker")
PASSWORD = SecretKey("redis", "password")
REDIS = GcsFaultTolerance("redis.redis-system:6379", PASSWORD)
REFERENCE = {"secretKeyRef": {"name": "redis", "key": "password"}}


def service_with(
    tolerance: GcsFaultTolerance | None = REDIS, item: Planned | None = None
) -> Object:
    objects = canonical_objects(*(item or planned()), NAMESPACE, ARCHIVE, tolerance=tolerance)
    assert not isinstance(objects, Fault), str(objects)
    return objects[1]


def cluster_of(service: Object) -> Object:
    return dict(service["spec"]["rayClusterConfig"])


def container_of(cluster: Object) -> Object:
    (group,) = cluster["workerGroupSpecs"]
    return dict(group["template"]["spec"]["containers"][0])


def pods_of(cluster: Object) -> dict[str, Object]:
    """Return a head and a worker as KubeRay makes them."""
    metadata = {"name": "llama-abcde", "namespace": matrix.MODELS, "uid": "the-uid"}
    whole = {"metadata": metadata, "spec": copy.deepcopy(cluster)}
    (group,) = whole["spec"]["workerGroupSpecs"]
    return {"head": head_pod(whole, ""), "worker": worker_pod(whole, group, {})}


def test_a_head_whose_workers_answer_ends_its_proxy_softly() -> None:
    def lifecycle(service: Object) -> Object | None:
        head = cluster_of(service)["headGroupSpec"]["template"]["spec"]
        found: Object | None = head["containers"][0].get("lifecycle")
        return found

    hook = lifecycle(service_with())
    assert hook is not None and "USR1" in hook["preStop"]["exec"]["command"][-1]
    # nobody else answers meanwhile
    assert lifecycle(service_with(None)) is None
    assert lifecycle(service_with(REDIS, two_nodes())) is None


@pytest.mark.parametrize("tolerance", [REDIS, GcsFaultTolerance("10.0.0.7:6379")])
@pytest.mark.parametrize("item", [planned(), two_nodes()], ids=["one node", "two nodes"])
def test_kuberay_knows_the_fields_and_writes_them_back_alike(
    item: Planned, tolerance: GcsFaultTolerance
) -> None:
    service = service_with(tolerance, item)
    assert problems(service) == []
    written = copy.deepcopy(service)
    full_update(written)
    assert written == service


def test_the_redis_is_named_and_its_password_is_a_reference() -> None:
    options = cluster_of(service_with())["gcsFaultToleranceOptions"]
    assert options == {
        "redisAddress": "redis.redis-system:6379",
        "redisPassword": {"valueFrom": REFERENCE},
    }


def test_a_redis_without_a_password_has_none() -> None:
    options = cluster_of(service_with(GcsFaultTolerance("redis:6379")))["gcsFaultToleranceOptions"]
    assert options == {"redisAddress": "redis:6379"}


def test_two_clusters_of_a_rollout_share_no_state() -> None:
    """KubeRay takes the cluster's uid where nothing else is said."""
    assert "externalStorageNamespace" not in json.dumps(service_with())
    head = pods_of(cluster_of(service_with()))["head"]
    assert head["metadata"]["annotations"]["ray.io/external-storage-namespace"] == "the-uid"


def test_without_it_nothing_is_another() -> None:
    (plain,) = (it for it in objects_for(planned(replicas=1)) if it["kind"] == "RayService")
    assert service_with(None, planned(replicas=1)) == plain
    assert not workers_answer(cluster_of(plain))


def test_what_differs_is_the_redis_and_what_pods_do_without_a_head() -> None:
    found = change(service_with(), service_with(None), exact=True)
    assert found.kind == "NewCluster"
    fields = {it.split(":")[0] for it in found.reasons}
    group = "spec.rayClusterConfig.workerGroupSpecs[only].template.spec"
    assert fields == {
        "spec.rayClusterConfig.gcsFaultToleranceOptions",
        "spec.rayClusterConfig.headGroupSpec.template.spec.containers[ray-head].lifecycle",
        f"{group}.containers[ray-worker].readinessProbe",
    }


def test_a_worker_is_ready_while_its_proxy_is_and_whatever_the_head_is() -> None:
    probe = container_of(cluster_of(service_with()))["readinessProbe"]
    (command,) = probe["exec"]["command"][2:]
    assert ":8000/-/healthz" in command
    assert "52365" not in command
    assert probe["failureThreshold"] > 1
    # a replica's other nodes have no proxy, as without a Redis
    spread = container_of(cluster_of(service_with(item=two_nodes())))["readinessProbe"]
    assert spread == container_of(cluster_of(service_with(None, two_nodes())))["readinessProbe"]


def test_a_users_own_probe_stays() -> None:
    own = {"httpGet": {"path": "/mine", "port": 8000}}
    containers = [{"name": "ray-worker", "readinessProbe": own}]
    item = planned(templates={"worker": {"spec": {"containers": containers}}})
    assert (
        container_of(cluster_of(service_with(item=item)))["readinessProbe"]["httpGet"]
        == (own["httpGet"])
    )


def test_workers_wait_for_the_next_head_and_get_no_password() -> None:
    pods = pods_of(cluster_of(service_with()))
    head, worker = (
        {it["name"]: it for it in pods[role]["spec"]["containers"][0]["env"]} for role in pods
    )
    assert head["REDIS_PASSWORD"] == {"name": "REDIS_PASSWORD", "valueFrom": REFERENCE}
    assert worker["RAY_gcs_rpc_server_reconnect_timeout_s"]["value"] == "600"
    assert "redis" not in json.dumps(pods["worker"])


def test_clients_are_led_to_the_workers_that_have_a_proxy() -> None:
    assert workers_answer(cluster_of(service_with()))
    assert not workers_answer(cluster_of(service_with(item=two_nodes())))
    service = endpoint_service("llama", matrix.MODELS)
    pods = {
        role: pod["metadata"]["labels"] for role, pod in pods_of(cluster_of(service_with())).items()
    }
    pods["healthy head"] = {**pods["head"], "ray.io/serve": "true"}
    # by which KubeRay empties the Redis; it is made like a head
    pods["cleanup"] = {**pods["head"], "ray.io/node-type": "redis-cleanup"}
    led = {
        to_workers: {
            role
            for role, labels in pods.items()
            if _selector(service, to_workers=to_workers).items() <= labels.items()
        }
        for to_workers in (False, True)
    }
    assert led == {False: {"healthy head"}, True: {"healthy head", "worker"}}
    elsewhere = leading_to(service, "llama-other", to_workers=True)["spec"]["selector"]
    assert not any(elsewhere.items() <= labels.items() for labels in pods.values())


def _selector(service: Object, *, to_workers: bool) -> Object:
    return dict(leading_to(service, "llama-abcde", to_workers=to_workers)["spec"]["selector"])


@pytest.mark.parametrize("allowed", matrix.ALLOWED)
@pytest.mark.parametrize("source", matrix.SOURCES)
def test_whoever_uses_the_endpoint_reaches_the_workers_proxies_and_no_more(
    source: str, allowed: str
) -> None:
    given = matrix.ALLOWED[allowed]
    model, _ = planned(**({} if given is None else {"endpoint": {"allowedNamespaces": given}}))
    found = network_policies(model, matrix.MODELS, to_workers=True)
    pods = pods_of(cluster_of(service_with()))
    client = Client(*matrix.SOURCES[source])
    network = Network(found, matrix.NAMESPACES)
    for role in ROLES:
        ports = matrix.PORTS[role].values()
        wanted = matrix.expected(allowed, source, role, to_workers=True)
        assert reached(network, client, pod_of(pods[role]), ports) == wanted, role
