"""What Serve itself says of the application that it was given, beside its replicas."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.status.situations import cluster, service

from freehold.controller.engines import Observer, Told
from freehold.controller.gather import Seen
from freehold.controller.install_key import InstallKey
from freehold.controller.probes import Probes
from freehold.controller.queue import Key
from freehold.kube.endpoint import ModelEndpoints
from freehold.render.revision import Revision
from freehold.status.outcome import Engines, ScalingDecision, Submission
from freehold.status.ray_cluster_state import read_ray_cluster

CONFIG = """
proxy_location: EveryNode
applications:
- name: chat
  import_path: ray.serve.llm:build_openai_app
  args: {llm_configs: [{engine_kwargs: {max_num_seqs: 16.0}}]}
  deployments: [{name: Server, autoscaling_config: {min_replicas: 1}}]
"""
APPLICATION: dict[str, Any] = {
    "name": "chat",
    "import_path": "ray.serve.llm:build_openai_app",
    # as it comes back after a journey through JSON
    "args": {"llm_configs": [{"engine_kwargs": {"max_num_seqs": 16}}]},
}
OTHER = {**APPLICATION, "args": {"llm_configs": []}}


class Serve:
    """The dashboards of some clusters."""

    def __init__(self, **told: Any) -> None:
        self.told = {name.replace("_", "-"): it for name, it in told.items()}
        self.lines: dict[tuple[str, str, str], str] = {}
        self.put: list[tuple[str, Any]] = []

    async def serve_details(self, head: str, namespace: str, token: str) -> Any:
        return self.told.get(head.removesuffix("-head-svc"))

    async def last_line(self, head: str, namespace: str, token: str, node: str, log: str) -> str:
        return self.lines.get((head.removesuffix("-head-svc"), node, log), "")

    async def declare(self, head: str, namespace: str, token: str, config: Any) -> bool:
        self.put.append((head, config))
        return True


def observer(serve: Serve) -> Observer:
    key = SimpleNamespace(ray_token=lambda uid: "t")
    endpoints, key = cast(ModelEndpoints, serve), cast(InstallKey, key)
    return Observer(endpoints, cast(Probes, None), key)


def seen(**clusters: Any) -> Seen:
    live = {"spec": {"serveConfigV2": CONFIG}}
    raw = [
        {"metadata": {"name": name}, "status": {"head": {"serviceName": f"{name}-head-svc"}}}
        for name in ("chat-old", "chat-new")
    ]
    state = service(*(cluster(name) if name else None for name in clusters.values()))
    return Seen(
        Key("models", "chat"),
        {"metadata": {"uid": "m"}},
        1,
        (),
        {},
        {("RayService", "chat"): live},
        (),
        state,
        tuple(read_ray_cluster(it) for it in raw),
        (),
    )


REVISION = cast(Revision, SimpleNamespace(frozen=SimpleNamespace(deployment="Server")))
BOTH, ONE = seen(active="chat-old", pending="chat-new"), seen(active="chat-old")


def details(status: str, config: Mapping[str, Any] = APPLICATION, **deployments: Any) -> Any:
    told = {"status": status, "message": "", "deployed_app_config": config}
    applications = {"chat": {**told, "deployments": deployments}}
    return {"controller_info": {"node_id": "n1"}, "applications": applications}


def look(serve: Serve, world: Seen) -> Told:
    return asyncio.run(observer(serve).look(world, REVISION))


SERVER = {"target_num_replicas": 1, "replicas": [{"replica_id": "a", "state": "RUNNING"}]}


@pytest.mark.parametrize(("config", "taken"), [(APPLICATION, True), (OTHER, False), ({}, False)])
def test_serve_says_whether_it_has_the_present_application(config: Any, taken: bool) -> None:
    told = look(Serve(chat_old=details("RUNNING", config, Server=SERVER)), ONE)
    assert told.engines == Engines(1, frozenset({"a"}))
    assert told.submission == Submission("chat-old", "RUNNING", taken)


def test_the_cluster_that_is_to_take_over_is_the_one_that_is_given_it() -> None:
    failed = details("DEPLOY_FAILED", Server={"message": "KeyError: 'x'"})
    serve = Serve(chat_old=details("RUNNING", OTHER, Server=SERVER), chat_new=failed)
    told = look(serve, BOTH)
    assert told.engines == Engines(1, frozenset({"a"}))
    assert told.submission == Submission("chat-new", "DEPLOY_FAILED", True, "KeyError: 'x'")


def test_a_serve_that_does_not_answer_says_nothing() -> None:
    assert look(Serve(chat_old=details("RUNNING", Server=SERVER)), BOTH).submission is None
    assert look(Serve(), ONE) == Told()


def test_replicas_that_start_are_counted() -> None:
    replicas = [*SERVER["replicas"], {"replica_id": "b", "state": "STARTING"}]
    server = {"target_num_replicas": 2, "replicas": replicas}
    engines = look(Serve(chat_old=details("RUNNING", Server=server)), ONE).engines
    assert engines == Engines(2, frozenset({"a"}), starting=1)


def test_the_scaling_policy_is_heard_where_serves_controller_runs() -> None:
    serve = Serve(chat_old=details("RUNNING", Server=SERVER))
    assert look(serve, ONE).scaling is None
    serve.lines["chat-old", "n1", "serve/freehold_scaling_chat.log"] = json.dumps(
        {"reason": "Holding", "message": "5 requests run.", "running": 5, "queued": 0}
    )
    assert look(serve, ONE).scaling == ScalingDecision("Holding", "5 requests run.", 5, 0)


def test_of_a_cluster_that_is_gone_nothing_is_remembered() -> None:
    async def story() -> list[Engines | None]:
        serve = Serve(chat_old=details("RUNNING", Server=SERVER))
        asked = observer(serve)
        found = [(await asked.look(ONE, REVISION)).engines]
        serve.told.clear()
        gone = replace(ONE, ray_clusters=())
        found += [(await asked.look(it, REVISION)).engines for it in (ONE, gone)]
        return found

    engines = Engines(1, frozenset({"a"}))
    assert asyncio.run(story()) == [engines, engines, None]


@pytest.mark.parametrize("emptied", [True, False])
def test_serve_is_given_the_config_again_or_one_without_applications(emptied: bool) -> None:
    serve = Serve()
    assert asyncio.run(observer(serve).declare_again(ONE, "chat-old", emptied=emptied))
    ((head, config),) = serve.put
    assert head == "chat-old-head-svc"
    assert config["proxy_location"] == "EveryNode"
    assert len(config["applications"]) == (0 if emptied else 1)


def test_a_cluster_without_a_head_is_given_nothing() -> None:
    serve = Serve()
    assert not asyncio.run(observer(serve).declare_again(ONE, "chat-gone", emptied=True))
    assert serve.put == []
