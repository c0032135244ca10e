"""A config for a Ray that others use changes our applications and none of theirs."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.unit.local.serve_details import application, details

from freehold.errors import RayUnavailable
from freehold.local.applications import merged_config, restarts_replicas

THEIRS = {
    "import_path": "shop.app:build",
    "route_prefix": "/shop",
    "name": "shop",
    "args": {"b": 1, "a": [2.50, None, "ü"]},
    "deployments": [{"name": "Shop", "num_replicas": "auto"}],
}
ALSO = {"name": "ads", "route_prefix": "/ads", "import_path": "ads:app", "runtime_env": {}}


def ours(name: str = "chat", route: str = "/chat", **engine: Any) -> dict[str, Any]:
    """Return an application of ours; ``engine`` are its engine's arguments."""
    model = {
        "model_loading_config": {"model_id": name, "model_source": "/srv/chat"},
        "engine_kwargs": {"max_num_seqs": 4, **engine},
        "server_cls": "freehold.serving.server.FreeholdServer",
    }
    return {
        "name": name,
        "route_prefix": route,
        "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [model]},
        "deployments": [{"name": f"FreeholdServer:{name}", "max_ongoing_requests": 9}],
    }


def foreign(**more: Any) -> dict[str, Any]:
    return details(
        application("shop", route="/shop", config=THEIRS),
        application("ads", route="/ads", config=ALSO),
        **more,
    )


def test_theirs_come_back_byte_for_byte_and_in_a_stable_order() -> None:
    told = foreign()
    before = copy.deepcopy(told)
    turned = foreign()
    turned["applications"] = dict(reversed(turned["applications"].items()))
    sent = merged_config(told, [ours()], ())
    assert json.dumps(sent["applications"]) == json.dumps([ALSO, THEIRS, ours()])
    assert json.dumps(merged_config(turned, [ours()], ())) == json.dumps(sent)
    assert told == before


def test_what_was_deployed_from_python_is_left_alone() -> None:
    imperative = application("notebook", route="/nb", source="imperative")
    sent = merged_config(details(imperative), [ours()], ())
    assert [item["name"] for item in sent["applications"]] == ["chat"]


def test_our_old_applications_are_replaced_or_gone() -> None:
    told = details(
        application("chat", route="/chat", config=ours()),
        application("old", route="/old", config=ours("old", "/old")),
        application("shop", route="/shop", config=THEIRS),
    )
    new = ours(max_model_len=512)
    sent = merged_config(told, iter([new]), iter(["chat", "old"]))
    assert sent["applications"] == [THEIRS, new]
    assert merged_config(told, [], {"chat", "old"})["applications"] == [THEIRS]


def test_what_is_sent_does_not_share_our_applications() -> None:
    mine = ours()
    merged_config(details(), [mine], ())["applications"][0]["args"]["llm_configs"].clear()
    assert mine == ours()


@pytest.mark.parametrize("source", ["declarative", "imperative"])
def test_a_name_that_is_taken_is_refused(source: str) -> None:
    taken = application("chat", route="/else", config=THEIRS, source=source)
    with pytest.raises(RayUnavailable, match=r"'chat' that is not ours; rename .*metadata\.name"):
        merged_config(details(taken), [ours()], ())


@pytest.mark.parametrize("source", ["declarative", "imperative"])
def test_a_route_that_is_taken_is_refused(source: str) -> None:
    taken = application("web", route="/", config=THEIRS, source=source)
    with pytest.raises(RayUnavailable, match="serves the application 'web' under '/'"):
        merged_config(details(taken), [ours(route="/")], ())


def test_an_application_without_a_route_takes_none() -> None:
    told = details(application("batch", config=ALSO) | {"route_prefix": None})
    assert merged_config(told, [ours()], ())["applications"] == [ALSO, ours()]


@pytest.mark.parametrize(
    ("status", "config"), [("DELETING", THEIRS), ("DEPLOYING", None), ("NOT_STARTED", {})]
)
def test_one_of_theirs_that_cannot_be_sent_back_stops_us(
    status: str, config: dict[str, Any] | None
) -> None:
    told = details(application("shop", status, route="/shop", config=config))
    with pytest.raises(RayUnavailable, match=f"'shop' .*while it is {status}.*try again"):
        merged_config(told, [ours()], ())


def test_settings_of_the_whole_ray_stay_as_they_are() -> None:
    sent = merged_config(
        foreign(
            proxy_location="EveryNode",
            http_options={"host": "0.0.0.0", "port": 8123, "root_path": "/ai"},
            grpc_options={"port": 9000},
            target_capacity=40.0,
        ),
        [ours()],
        (),
    )
    del sent["applications"]
    assert sent == {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": 8123, "root_path": "/ai"},
        "grpc_options": {"port": 9000},
        "target_capacity": 40.0,
    }


def test_a_ray_without_serve_gets_our_applications_alone() -> None:
    assert merged_config({"applications": {}}, [ours()], ()) == {"applications": [ours()]}


RESTARTS = {
    "another argument of the engine": (ours(max_num_seqs=8), ("engine_kwargs.max_num_seqs",)),
    "an argument more": (ours(dtype="bfloat16"), ("engine_kwargs.dtype",)),
    "another route": (ours(route="/"), ("route_prefix",)),
    "an environment": (ours() | {"runtime_env": {"py_modules": ["gcs://x"]}}, ("runtime_env",)),
}


@pytest.mark.parametrize(("new", "named"), RESTARTS.values(), ids=RESTARTS.keys())
def test_what_makes_replicas_restart_is_named(new: dict[str, Any], named: tuple[str, ...]) -> None:
    assert restarts_replicas(ours(), new) == named


def test_several_changes_are_all_named() -> None:
    new = ours(max_num_seqs=8, dtype="float")
    model = new["args"]["llm_configs"][0]
    model["server_cls"] = "other.Server"
    model["runtime_env"] = {"env_vars": {"A": "1"}}
    assert restarts_replicas(ours(), new) == (
        "engine_kwargs.dtype",
        "engine_kwargs.max_num_seqs",
        "runtime_env",
        "server_cls",
    )


def test_what_stands_under_deployments_changes_in_place() -> None:
    new = ours() | {"deployments": [{"name": "FreeholdServer:chat", "max_ongoing_requests": 77}]}
    assert restarts_replicas(ours(), new) == ()
