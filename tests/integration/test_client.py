"""The client at a real API server: what it writes can be written again, and what errors mean."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster

from freehold.kube.children import ForeignChild, Written, write_child
from freehold.kube.client import KubeClient, load_configuration
from freehold.kube.errors import AlreadyExists, Conflict, Invalid, KindMissing, NotFound, NotLeading
from freehold.kube.resources import CONFIG_MAPS, CONTROLLER_REVISIONS, SERVICES, Resource


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(await load_configuration(str(cluster.kubeconfig))) as found:
        yield found


def config_map(namespace: str, **data: str) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_a_revision_s_number_can_change_whatever_its_data_say(
    client: KubeClient, namespace: str
) -> None:
    data = {"text": "a < b && c > d, é, \u2028", "number": 10.0, "list": [1, "two", None]}
    revision = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "one", "namespace": namespace},
        "revision": 1,
        "data": data,
    }
    await client.create(CONTROLLER_REVISIONS, revision)
    raised = [{"op": "replace", "path": "/revision", "value": 2}]
    found = await client.patch_json(CONTROLLER_REVISIONS, namespace, "one", raised)
    assert found["revision"] == 2
    assert found["data"] == data


async def test_what_errors_mean(client: KubeClient, namespace: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map(namespace, a="1"))
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAPS, config_map(namespace))
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAPS, namespace, "two")
    with pytest.raises(KindMissing):
        await client.get(Resource("example.com", "v1", "things", "Thing"), namespace, "one")
    with pytest.raises(Invalid, match="unknown field"):
        await client.create(CONFIG_MAPS, config_map(namespace) | {"dat": {}})
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAPS, namespace, "one", "another uid")
    stale = made | {"data": {"a": "2"}}
    await client.replace(CONFIG_MAPS, stale)
    with pytest.raises(Conflict):
        await client.replace(CONFIG_MAPS, stale)


async def test_without_the_lease_nothing_is_written(cluster: Cluster, namespace: str) -> None:
    configuration = await load_configuration(str(cluster.kubeconfig))
    async with KubeClient(configuration, lease_seconds=lambda: 0.0) as client:
        with pytest.raises(NotLeading):
            await client.create(CONFIG_MAPS, config_map(namespace))
        assert (await client.list_all(CONFIG_MAPS, namespace, "made=here"))[0] == []
    assert cluster.get("configmap", "one", namespace) is None


async def test_pages_of_a_list_are_put_together(
    client: KubeClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.kube.client._PAGE", 2)
    for i in range(5):
        body = config_map(namespace)
        body["metadata"] |= {"name": f"page-{i}", "labels": {"made": "here"}}
        await client.create(CONFIG_MAPS, body)
    found, version = await client.list_all(CONFIG_MAPS, namespace, "made=here")
    assert {(it["apiVersion"], it["kind"]) for it in found} == {("v1", "ConfigMap")}
    assert [it["metadata"]["name"] for it in found] == [f"page-{i}" for i in range(5)]
    assert int(version) > 0


def a_service(namespace: str, owner: str, **spec: Any) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "one", "uid": owner}
    metadata = {
        "name": "child",
        "namespace": namespace,
        "ownerReferences": [reference | {"controller": True}],
    }
    ports = [{"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": ports, "selector": {"app": "x"}} | spec,
    }


async def test_a_field_that_is_no_longer_written_goes(client: KubeClient, namespace: str) -> None:
    """What the create wrote is owned by applying from the first apply on."""
    owner = (await client.create(CONFIG_MAPS, config_map(namespace)))["metadata"]["uid"]
    first = a_service(namespace, owner, sessionAffinity="ClientIP", externalName="")
    first["metadata"]["annotations"] = {"here": "today"}
    written, live = await write_child(client, first, None, owner)
    assert written is Written.CREATED
    second = a_service(namespace, owner, selector={"app": "y"})
    written, live = await write_child(client, second, live, owner)
    assert written is Written.APPLIED
    assert live is not None
    assert live["spec"]["selector"] == {"app": "y"}
    assert "annotations" not in live["metadata"]
    assert await write_child(client, second, live, owner) == (Written.NOTHING, None)


async def test_a_child_that_was_replaced_meanwhile_is_not_written(
    client: KubeClient, namespace: str
) -> None:
    owner = (await client.create(CONFIG_MAPS, config_map(namespace)))["metadata"]["uid"]
    first = a_service(namespace, owner)
    _, live = await write_child(client, first, None, owner)
    assert live is not None
    await client.delete(SERVICES, namespace, "child", live["metadata"]["uid"])
    changed = a_service(namespace, owner, selector={"app": "y"})
    with pytest.raises((NotFound, Conflict)):
        await write_child(client, changed, live, owner)
    await client.create(SERVICES, a_service(namespace, owner))
    with pytest.raises(Conflict):
        await write_child(client, changed, live, owner)


async def test_an_object_of_somebody_else_is_found_and_left(
    client: KubeClient, namespace: str
) -> None:
    theirs = a_service(namespace, "00000000-0000-0000-0000-000000000000")
    del theirs["metadata"]["ownerReferences"]
    before = await client.create(SERVICES, theirs)
    found, _ = await write_child(client, a_service(namespace, "ours"), None, "ours")
    assert found == ForeignChild("Service", "child", "nobody")
    assert await client.get(SERVICES, namespace, "child") == before
