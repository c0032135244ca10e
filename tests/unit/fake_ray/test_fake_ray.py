"""The fake of Ray answers as a forward proxy, by host name, and does what a test tells it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fake_ray.control import Control
from tests.fake_ray.rays import Rays
from tests.fake_ray.running import fake_ray
from tests.fake_ray.steering import Steering

HEAD = "http://chat-bcdfg-head-svc.models.svc.cluster.local:8265/api/serve/applications/"
OTHER_HEAD = HEAD.replace("bcdfg", "hjklm")
ENDPOINT = "http://chat.models.svc:8000"
SERVER = "LLMServer:chat"


def config(**application: Any) -> dict[str, Any]:
    scaling = {"min_replicas": 0, "initial_replicas": 1, "max_replicas": 3}
    whole = {
        "name": "chat",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [{"model_loading_config": {"model_id": "chat"}}]},
        "deployments": [{"name": SERVER, "autoscaling_config": scaling}],
    }
    return {"applications": [whole | application]}


@pytest.fixture
def ray() -> Iterator[Control]:
    with fake_ray(seconds=0) as found:
        yield found


@pytest.fixture
def http(ray: Control) -> Iterator[httpx.Client]:
    with httpx.Client(proxy=ray.url, trust_env=False) as client:
        yield client


def test_each_cluster_has_applications_of_its_own(http: httpx.Client) -> None:
    assert http.put(HEAD, json=config()).status_code == 200
    (application,) = http.get(HEAD).json()["applications"].values()
    assert application["status"] == "RUNNING"
    assert application["deployments"][SERVER]["target_num_replicas"] == 1
    assert http.get(OTHER_HEAD).json()["applications"] == {}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        pytest.param({"deployments": [{"name": SERVER}]}, True, id="other deployments: the same"),
        pytest.param({"route_prefix": "/v2"}, False, id="other code: new replicas"),
    ],
)
def test_replicas_outlive_what_serve_takes_in_place(
    http: httpx.Client, ray: Control, change: dict[str, Any], kept: bool
) -> None:
    http.put(HEAD, json=config())
    before = ray.model("models", "chat")["clusters"]["chat-bcdfg"][SERVER]
    http.put(HEAD, json=config(**change))
    after = ray.model("models", "chat")["clusters"]["chat-bcdfg"][SERVER]
    assert (after == before) is kept and len(after) == 1


def test_requests_are_answered_and_counted(http: httpx.Client, ray: Control) -> None:
    assert http.get(f"{ENDPOINT}/v1/models").status_code == 503  # no such Service
    http.put(HEAD, json=config())
    assert http.get(f"{ENDPOINT}/v1/models").json()["data"][0]["id"] == "chat"
    body = {"model": "chat", "prompt": "a", "max_tokens": 1}
    assert http.post(f"{ENDPOINT}/v1/completions", json=body).json()["choices"][0]["text"]
    assert ray.model("models", "chat")["requests"] == {"/v1/models": 1, "/v1/completions": 1}
    assert ray.hosts()["chat.models.svc:8000"] == 3


def test_it_does_as_it_is_told(http: httpx.Client, ray: Control) -> None:
    http.put(HEAD, json=config())
    ray.steer("models", "chat", status="DEPLOY_FAILED", message="no GPU", answer=500, target=3)
    told = http.get(HEAD).json()["applications"]["chat"]
    assert (told["status"], told["message"], told["deployments"]) == ("DEPLOY_FAILED", "no GPU", {})
    assert http.get(f"{ENDPOINT}/v1/models").status_code == 500
    ray.steer("models", "chat", running=1)
    replicas = http.get(HEAD).json()["applications"]["chat"]["deployments"][SERVER]["replicas"]
    assert [one["state"] for one in replicas] == ["RUNNING", "STARTING", "STARTING"]
    ray.steer("models", "chat", token="s3cret")
    assert http.get(HEAD).status_code == 401
    assert http.get(HEAD, headers={"x-ray-authorization": "Bearer s3cret"}).status_code == 200
    with pytest.raises(ValueError, match="statsu: unknown; known are answer, dashboard"):
        Steering.read({"statsu": "RUNNING"})


def test_only_clusters_yet_to_come_do_as_told(http: httpx.Client, ray: Control) -> None:
    http.put(HEAD, json=config())
    ray.steer("models", "chat", status="DEPLOYING", next_only=True)
    http.put(OTHER_HEAD, json=config())

    def statuses() -> list[str]:
        answers = [http.get(url).json() for url in (HEAD, OTHER_HEAD)]
        return [it["applications"]["chat"]["status"] for it in answers]

    assert statuses() == ["RUNNING", "DEPLOYING"]
    ray.steer("models", "chat")
    assert statuses() == ["RUNNING", "RUNNING"]


def said(http: httpx.Client) -> tuple[str, str]:
    (found,) = http.get(HEAD).json()["applications"].values()
    return found["status"], found["message"]


def test_what_serve_refuses_is_tried_again_while_what_ran_before_runs_on(
    http: httpx.Client, ray: Control
) -> None:
    http.put(HEAD, json=config())
    before = ray.model("models", "chat")["clusters"]
    ray.steer("models", "chat", refuses="/v2", message="ValueError: v2")
    http.put(HEAD, json=config(route_prefix="/v2"))
    assert said(http) == ("DEPLOY_FAILED", "ValueError: v2")
    assert http.get(f"{ENDPOINT}/v1/models").status_code == 200
    http.put(HEAD, json=config())
    assert said(http)[0] == "RUNNING"
    assert ray.model("models", "chat")["clusters"] == before
    http.put(HEAD, json=config(route_prefix="/v2"))
    ray.steer("models", "chat")
    assert said(http)[0] == "DEPLOY_FAILED"
    http.put(HEAD, json=config(route_prefix="/v2"))
    assert said(http)[0] == "RUNNING"


def test_what_serve_refuses_where_nothing_ran_is_tried_again_after_it_was_taken_away(
    http: httpx.Client, ray: Control
) -> None:
    ray.steer("models", "chat", refuses="build_openai_app")
    http.put(HEAD, json=config())
    assert http.get(f"{ENDPOINT}/v1/models").status_code == 404
    ray.steer("models", "chat")
    http.put(HEAD, json=config())
    assert said(http)[0] == "DEPLOY_FAILED"
    http.put(HEAD, json={"applications": []})
    http.put(HEAD, json=config())
    assert said(http)[0] == "RUNNING"


def test_a_request_hangs_that_is_to_hang(http: httpx.Client, ray: Control) -> None:
    http.put(HEAD, json=config())
    ray.steer("models", "chat", hangs=True)
    with pytest.raises(httpx.ReadTimeout):
        http.get(f"{ENDPOINT}/v1/models", timeout=0.2)


def test_an_application_deploys_for_a_while_and_then_runs() -> None:
    now = 0.0
    rays = Rays(seconds=10, clock=lambda: now)
    cluster = rays.cluster("models", "chat-bcdfg")
    rays.put(cluster, config())

    def told() -> tuple[str, list[str]]:
        application = rays.details(cluster)["applications"]["chat"]
        return application["status"], list(application["deployments"])

    assert told() == ("DEPLOYING", [])
    now = 6
    assert told() == ("DEPLOYING", [SERVER])
    now = 10
    assert told() == ("RUNNING", [SERVER])


def test_what_ran_runs_on_while_a_change_in_place_starts_more() -> None:
    now = 0.0
    rays = Rays(seconds=10, clock=lambda: now)
    cluster = rays.cluster("models", "chat-bcdfg")

    def states() -> list[str]:
        (application,) = rays.details(cluster)["applications"].values()
        return [it["state"] for it in application["deployments"][SERVER]["replicas"]]

    rays.put(cluster, config())
    now = 10
    assert states() == ["RUNNING"]
    more = {"name": SERVER, "autoscaling_config": {"min_replicas": 3, "max_replicas": 3}}
    rays.put(cluster, config(deployments=[more]))
    assert states() == ["RUNNING", "STARTING", "STARTING"]
    now = 20
    assert states() == ["RUNNING"] * 3
