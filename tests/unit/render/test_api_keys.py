"""Keys come into a model's workers as files; which, and whether at all, is what the spec says."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.render.rendered import (
    ARCHIVE,
    NAMESPACE,
    Planned,
    container_of,
    objects_for,
    planned,
    service_of,
    worker_of,
)

from freehold.api.faults import Fault
from freehold.render.api_keys import mounted_key_secret, token_secret_name
from freehold.render.change import change
from freehold.render.objects import canonical_objects, object_yaml
from freehold.serving.api_keys import AUTHENTICATION, FOLDER, MOUNTED

UID = "1f0c3a52-8f41-4e0e-9d0a-3a9a5d1c2b3d"
NAMED = {"type": "APIKey", "secretRef": {"name": "team-keys"}}


def authenticated(authentication: dict[str, Any] | None, **spec: Any) -> Planned:
    endpoint = {"authentication": authentication} if authentication else {}
    return planned(endpoint=endpoint, **spec)


def said(item: Planned) -> list[str]:
    entries = container_of(item)["env"]
    return [it["value"] for it in entries if it["name"] == AUTHENTICATION]


def mounts(item: Planned) -> list[dict[str, Any]]:
    return [it for it in container_of(item)["volumeMounts"] if it["mountPath"] == MOUNTED]


def sources(item: Planned) -> list[dict[str, Any]]:
    (mount,) = mounts(item)
    (volume,) = [it for it in worker_of(item)["volumes"] if it["name"] == mount["name"]]
    return [it["secret"] for it in volume["projected"]["sources"]]


@pytest.mark.parametrize(
    ("authentication", "secret"),
    [(None, "llama-api-key"), ({"type": "APIKey"}, "llama-api-key"), (NAMED, "team-keys")],
)
def test_keys_are_files_that_the_engine_may_only_read(
    authentication: dict[str, Any] | None, secret: str
) -> None:
    item = authenticated(authentication)
    assert said(item) == ["APIKey"]
    (mount,) = mounts(item)
    assert mount["readOnly"] is True
    users, own = sources(item)
    assert users == {"name": secret}
    assert own == {
        "name": "llama-tokens",
        "items": [{"key": "probe-key", "path": "operator~probe-key"}],
    }
    assert mounted_key_secret(service_of(item)) == secret


def test_pods_wait_for_keys_that_are_not_there() -> None:
    """An optional Secret would let an engine run whose keys go when the Secret does."""
    assert "optional" not in object_yaml(service_of(authenticated(NAMED)))


def test_an_endpoint_for_everybody_has_no_keys() -> None:
    item = authenticated({"type": "None"})
    assert said(item) == ["None"]
    assert mounts(item) == []
    assert "api-key" not in object_yaml(service_of(item))
    assert mounted_key_secret(service_of(item)) is None


def test_only_the_workers_have_keys() -> None:
    head = service_of(authenticated(NAMED))["spec"]["rayClusterConfig"]["headGroupSpec"]
    assert "team-keys" not in object_yaml(head)


def test_no_overlay_takes_the_question_for_a_key_away() -> None:
    asks_nothing = {"name": AUTHENTICATION, "value": "None"}
    elsewhere = {"name": FOLDER, "value": "/tmp"}
    container = {"name": "ray-worker", "env": [asks_nothing, elsewhere]}
    templates = {"worker": {"spec": {"containers": [container, {"name": "beside", "image": "i"}]}}}
    item = authenticated(NAMED, templates=templates)
    assert said(item) == ["APIKey"]
    folders = [it["value"] for it in container_of(item)["env"] if it["name"] == FOLDER]
    assert folders == [MOUNTED]
    (beside,) = [it for it in worker_of(item)["containers"] if it["name"] == "beside"]
    assert MOUNTED not in str(beside)


def test_another_authentication_is_another_cluster() -> None:
    named, open_ = (service_of(authenticated(it)) for it in (NAMED, {"type": "None"}))
    for one, other in ((named, open_), (open_, named), (service_of(authenticated(None)), named)):
        assert change(one, other, exact=True).kind == "NewCluster"


def test_a_model_made_again_has_a_secret_of_its_own() -> None:
    assert token_secret_name("chat", None) == "chat-tokens"
    assert token_secret_name("chat", UID) == "chat-tokens-1f0c3a52"
    assert len(token_secret_name("a" * 40, UID)) <= 63


def test_the_uid_is_in_both_places_that_name_the_secret() -> None:
    objects = canonical_objects(*planned(), NAMESPACE, ARCHIVE, uid=UID)
    assert not isinstance(objects, Fault)
    (service,) = [it for it in objects if it["kind"] == "RayService"]
    assert object_yaml(service).count("llama-tokens-1f0c3a52\n") == 2
    assert "llama-tokens\n" not in object_yaml(service)


def test_no_value_stands_in_what_is_rendered() -> None:
    assert "fh-" not in "".join(object_yaml(it) for it in objects_for(authenticated(NAMED)))
