"""Fields without effect outside a cluster are named."""

from __future__ import annotations

from typing import Any

import pytest

from freehold.api.modeldeployment import ModelDeployment
from freehold.local.unheeded import unheeded


def model(**spec: Any) -> ModelDeployment:
    import json

    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "m"},
        "spec": {"model": {"source": "hf://a/b"}} | spec,
    }
    return ModelDeployment.model_validate_json(json.dumps(data))


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, [], id="nothing to say of a plain manifest"),
        pytest.param(
            {"endpoint": {"authentication": {"type": "APIKey"}}}, ["spec.endpoint"], id="a key"
        ),
        pytest.param({"managedBy": "example.com/other"}, ["spec.managedBy"], id="a controller"),
        pytest.param({"rollout": {"type": "Recreate"}}, ["spec.rollout"], id="a rollout"),
        pytest.param(
            {
                "model": {"source": "hf://a/b", "credentials": {"secretRef": {"name": "s"}}},
                "engine": {"images": [{"accelerator": "l4-24gb", "image": "i"}]},
            },
            ["spec.engine.images", "spec.model.credentials"],
            id="several",
        ),
    ],
)
def test_each_field_without_effect_is_named(spec: dict[str, Any], want: list[str]) -> None:
    said = unheeded(model(**spec).spec, asks_for_key=False)
    assert [sentence.split()[0] for sentence in said] == want


NAMED = {"type": "APIKey", "secretRef": {"name": "keys"}}
OF_ENDPOINT = "spec.endpoint.authentication"


@pytest.mark.parametrize(
    ("endpoint", "want"),
    [
        ({"authentication": {"type": "APIKey"}}, []),
        ({"authentication": NAMED}, [f"{OF_ENDPOINT}.secretRef"]),
        ({"authentication": {"type": "None"}}, [f"{OF_ENDPOINT}.type"]),
        ({"allowedNamespaces": {"from": "All"}}, ["spec.endpoint.allowedNamespaces"]),
    ],
)
def test_of_an_endpoint_that_asks_for_a_key_the_rest_is_named(
    endpoint: dict[str, Any], want: list[str]
) -> None:
    said = unheeded(model(endpoint=endpoint).spec, asks_for_key=True)
    assert [sentence.split()[0] for sentence in said] == want


def test_the_other_controller_is_named() -> None:
    (sentence,) = unheeded(model(managedBy="example.com/other").spec, asks_for_key=False)
    assert "example.com/other acts on the object" in sentence
    assert "run serves it all the same" in sentence
