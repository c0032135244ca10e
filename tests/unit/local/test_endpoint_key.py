"""Whoever can reach the endpoint from elsewhere needs a key; this machine's own users do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from freehold.api.modeldeployment import ModelDeployment
from freehold.errors import FreeholdError, ManifestInvalid
from freehold.local.endpoint_key import EndpointKey, endpoint_key, require_key
from freehold.local.machine import EVERYWHERE, LOOPBACK


def model(name: str = "m", authentication: str | None = None) -> ModelDeployment:
    endpoint = {"endpoint": {"authentication": {"type": authentication}}} if authentication else {}
    data: dict[str, Any] = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"source": "hf://a/b"}} | endpoint,
    }
    return ModelDeployment.model_validate_json(json.dumps(data))


@pytest.mark.parametrize("authentication", [None, "APIKey", "None"])
def test_the_loopback_address_asks_for_nothing(authentication: str | None) -> None:
    given = {"FREEHOLD_API_KEY": "fh-1"}
    assert endpoint_key(LOOPBACK, [model(authentication=authentication)], given) is None


def test_an_open_address_asks_unless_every_model_says_none() -> None:
    open_, asking = model("a", "None"), model("b")
    assert endpoint_key(EVERYWHERE, [open_], {}) is None
    assert endpoint_key(EVERYWHERE, [open_, asking], {}) is not None
    assert endpoint_key(EVERYWHERE, [model("c", "APIKey")], {}) is not None


def test_a_key_of_the_environment_is_taken_and_else_one_is_made() -> None:
    assert endpoint_key(EVERYWHERE, [model()], {"FREEHOLD_API_KEY": " fh-1 "}) == EndpointKey(
        "fh-1", generated=False
    )
    made = [endpoint_key(EVERYWHERE, [model()], {"FREEHOLD_API_KEY": given}) for given in ("", " ")]
    assert all(it is not None and it.generated and len(it.value) == 67 for it in made)
    assert made[0] != made[1]
    assert made[0] is not None
    assert made[0].value not in repr(made[0])


@pytest.mark.parametrize("given", ["two words", "schlüssel", "a\nb"])
def test_what_no_header_can_carry_is_refused_and_not_shown(given: str) -> None:
    with pytest.raises(ManifestInvalid, match=r"^FREEHOLD_API_KEY has a character") as told:
        endpoint_key(EVERYWHERE, [model()], {"FREEHOLD_API_KEY": given})
    assert given not in str(told.value)


def test_an_edit_that_asks_for_a_key_is_refused_where_the_run_has_none() -> None:
    require_key(LOOPBACK, [model()], None)
    require_key(EVERYWHERE, [model(authentication="None")], None)
    require_key(EVERYWHERE, [model()], EndpointKey("fh-1", generated=False))
    with pytest.raises(FreeholdError, match=r"^b: spec.endpoint.authentication asks for a key"):
        require_key(EVERYWHERE, [model("a", "None"), model("b")], None)
