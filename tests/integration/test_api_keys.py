"""Keys of endpoints: made or looked for, never read, and told nowhere but in their Secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.models import Models, assert_no_bug
from tests.integration.operator import (
    RACK,
    Operator,
    start_operator,
    until,
    wait_until_ready,
)

from freehold.controller.install_key import InstallKey, read_install_key

Object = dict[str, Any]
NAMED = {"authentication": {"type": "APIKey", "secretRef": {"name": "team-keys"}}}
NOBODY_ASKED = {"authentication": {"type": "None"}}
CREATED = ("create", "secrets")


@pytest.fixture(scope="module", autouse=True)
def rack(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(RACK):
        yield


@pytest.fixture(scope="module")
def operator(
    cluster: Cluster, kuberay: KubeRay, shared_processes: Processes, shared_namespace: str
) -> Operator:
    arguments = (f"--namespace={shared_namespace}", "--no-leader-election")
    return start_operator(shared_processes, cluster.kubeconfig, kuberay.environment, *arguments)


@pytest.fixture
def key(operator: Operator, shared_processes: Processes) -> InstallKey:
    """The installation's key, which the tests may read and the operator's users may not."""
    return read_install_key(shared_processes.folder / "install.key")


@pytest.fixture
def models(cluster: Cluster, operator: Operator, shared_namespace: str) -> Iterator[Models]:
    found = Models(cluster, shared_namespace)
    yield found
    cluster.kubectl("delete", "fmd", "--all", "-n", shared_namespace, "--wait=false")
    assert operator.server.running
    assert_no_bug(operator)


def secret(models: Models, name: str) -> Object | None:
    return models.cluster.get("secret", name, models.namespace)


def entries(models: Models, name: str) -> dict[str, str]:
    """Return the values of a Secret, {} where there is none."""
    data = (secret(models, name) or {}).get("data") or {}
    return {entry: base64.b64decode(value).decode() for entry, value in data.items()}


def make_keys(models: Models, name: str = "team-keys") -> None:
    models.kubectl("create", "secret", "generic", name, "--from-literal=first=s3cret")


def mounted(models: Models, name: str) -> list[str]:
    """Return the Secrets whose entries a model's workers mount."""
    (group,) = models.ray_service(name)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    volumes = group["template"]["spec"]["volumes"]
    return [
        it["secret"]["name"] for v in volumes for it in v.get("projected", {}).get("sources", [])
    ]


def test_a_key_is_made_where_the_user_names_none(models: Models, key: InstallKey) -> None:
    models.apply("made")
    models.wait("made", "Ready", "True")
    found = secret(models, "made-api-key")
    assert found is not None
    assert "ownerReferences" not in found["metadata"]
    assert found["metadata"]["labels"]["freehold.dev/model"] == "made"
    assert "immutable" not in found
    assert entries(models, "made-api-key") == {"api-key": key.api_key("made", models.namespace)}
    assert mounted(models, "made") == ["made-api-key", models.token_secret("made")]


def test_the_operator_asks_with_a_key_that_the_pods_mount(
    models: Models, kuberay: KubeRay, key: InstallKey
) -> None:
    models.apply("probed")
    models.wait("probed", "Ready", "True")
    found = entries(models, models.token_secret("probed"))
    uid = models.get("probed")["metadata"]["uid"]
    assert found == {"auth_token": key.ray_token(uid), "probe-key": key.probe_key(uid)}
    assert kuberay.ray.model(models.namespace, "probed")["keys"] == [found["probe-key"]]


def test_what_the_user_made_of_a_key_outlives_the_model(models: Models) -> None:
    """A key that was taken out must not come back with a model that is made again."""
    models.apply("rotated")
    models.wait("rotated", "Ready", "True")
    own = json.dumps({"stringData": {"api-key": "mine", "second": "too"}})
    models.kubectl("patch", "secret", "rotated-api-key", "--type=merge", f"-p={own}")
    former = models.token_secret("rotated")
    models.kubectl("delete", "fmd", "rotated")
    models.apply("rotated")
    models.wait("rotated", "Ready", "True")
    assert entries(models, "rotated-api-key") == {"api-key": "mine", "second": "too"}
    assert models.token_secret("rotated") != former
    assert models.token("rotated")


def test_a_key_that_was_deleted_is_the_same_again_when_pods_wait_for_it(models: Models) -> None:
    models.apply("robbed")
    models.wait("robbed", "Ready", "True")
    before = entries(models, "robbed-api-key")
    models.kubectl("delete", "secret", "robbed-api-key")
    wait_for_volumes(models, "robbed")
    until("it is there again", lambda: entries(models, "robbed-api-key"))
    assert entries(models, "robbed-api-key") == before


def wait_for_volumes(models: Models, name: str) -> None:
    """Have a model's worker wait as for a Secret: nodes are simulated, and mount nothing."""
    (worker,) = models.pods(name, "worker")
    no_sandbox = {"type": "PodReadyToStartContainers", "status": "False"}
    models.cluster.say_of(worker, {"phase": "Pending", "conditions": [no_sandbox]})


def test_an_endpoint_for_everybody_has_no_secret(models: Models) -> None:
    models.apply("public", endpoint=NOBODY_ASKED)
    models.wait("public", "Ready", "True")
    assert secret(models, "public-api-key") is None
    assert mounted(models, "public") == []


def test_hardware_waits_for_the_users_secret(models: Models, operator: Operator) -> None:
    models.apply("waits", endpoint=NAMED)
    ready = models.wait("waits", "Ready", "False", "APIKeysMissing")
    assert (
        f"spec.endpoint.authentication.secretRef names the Secret team-keys, and there is none "
        f"of that name in {models.namespace}. Make it, with a key in each entry: kubectl"
    ) in ready["message"]
    assert models.cluster.list("rayservice", models.namespace, "freehold.dev/model=waits") == []
    assert secret(models, "team-keys") is None
    assert secret(models, "waits-api-key") is None
    make_keys(models)
    models.wait("waits", "Ready", "True")
    assert mounted(models, "waits")[0] == "team-keys"
    assert entries(models, "team-keys") == {"first": "s3cret"}
    models.kubectl("delete", "secret", "team-keys")


def test_a_change_to_keys_that_are_not_there_leaves_what_serves_alone(models: Models) -> None:
    models.apply("served")
    models.wait("served", "Ready", "True")
    before = models.ray_service("served")["metadata"]["generation"]
    named = json.dumps({"spec": {"endpoint": NAMED}})
    models.kubectl("patch", "fmd", "served", "--type=merge", f"-p={named}")
    models.wait("served", "Ready", "False", "APIKeysMissing")
    assert models.wait("served", "Serving", "True")["reason"] == "Answers"
    assert models.ray_service("served")["metadata"]["generation"] == before
    make_keys(models)
    models.wait("served", "Ready", "True")
    assert mounted(models, "served")[0] == "team-keys"
    models.kubectl("delete", "secret", "team-keys")


@pytest.mark.thorough
def test_a_secret_that_is_taken_away_is_told_when_pods_wait_for_it(models: Models) -> None:
    make_keys(models)
    models.apply("bereft", endpoint=NAMED)
    models.wait("bereft", "Ready", "True")
    models.kubectl("delete", "secret", "team-keys")
    wait_for_volumes(models, "bereft")
    models.wait("bereft", "Ready", "False", "APIKeysMissing")
    make_keys(models)
    models.wait("bereft", "Placed", "True")
    models.kubectl("delete", "secret", "team-keys")


def test_a_secret_that_was_found_is_not_asked_for_again(models: Models, operator: Operator) -> None:
    models.apply("known")
    models.wait("known", "Ready", "True")
    operator.server.stop()
    operator.server.start()
    wait_until_ready(operator)
    models.another_pass(operator, "known")
    asked = operator.writes()[CREATED]
    for _ in range(3):
        models.another_pass(operator, "known")
    assert operator.writes()[CREATED] == asked
    assert models.wait("known", "Ready", "True")


def test_what_was_derived_stands_in_its_secrets_alone(
    models: Models, operator: Operator, key: InstallKey
) -> None:
    """Statuses, events, RayServices with their Serve configs, pods and all others are searched."""
    models.apply("secretive")
    models.wait("secretive", "Ready", "True")
    models.kubectl("patch", "fmd", "secretive", "--type=merge", '-p={"spec":{"replicas":2}}')
    models.wait("secretive", "Ready", "True")
    uid = models.get("secretive")["metadata"]["uid"]
    values = {
        key.ray_token(uid): models.token_secret("secretive"),
        key.probe_key(uid): models.token_secret("secretive"),
        key.api_key("secretive", models.namespace): "secretive-api-key",
        key.key.decode(): "",
    }
    found = everything(models.cluster)
    assert {it["kind"] for it in found} >= {
        *("ModelDeployment", "RayService", "RayCluster", "Pod", "Event", "ControllerRevision"),
        *("Service", "ConfigMap", "Secret"),
    }
    places: dict[str, set[str]] = {}
    for item in found:
        text = json.dumps(item)
        for value in values:
            if any(spelling in text for spelling in spellings(value)):
                places.setdefault(value, set()).add(f"{item['kind']} {item['metadata']['name']}")
    assert places == {value: {f"Secret {name}"} for value, name in values.items() if name}
    log = operator.server.text
    assert "Traceback" not in log
    assert not [value for value in values if value in log]


def spellings(value: str) -> list[str]:
    """Return a value as it is and in base64, wherever it may begin in the encoded text."""
    whole = value.encode()
    inner = [base64.b64encode(b"_" * shift + whole).decode()[4:-4] for shift in range(3)]
    return [value, *inner]


def everything(cluster: Cluster) -> list[Object]:
    """Return all objects of all kinds that the API server has."""
    kinds = cluster.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    found: list[Object] = []
    for kind in kinds:
        listed = cluster.kubectl("get", kind, "-A", "-o", "json", "--show-managed-fields")
        found += json.loads(listed)["items"]
    return found
