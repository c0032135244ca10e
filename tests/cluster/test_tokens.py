"""Tokens out of a real cluster: one model from zero to many replicas, through what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from tests.cluster.load import MANY, Load, load
from tests.cluster.model import ENGINE_SECONDS, Model
from tests.cluster.readme import QuickStart
from tests.english import is_english
from tests.node.installation import Installation

FREEHOLD = [sys.executable, "-m", "freehold"]


@pytest.fixture(scope="module")
def awake(model: Model) -> Model:
    """The model with a replica that answers, whoever woke it."""
    model.until("it is ready", lambda: model.condition("Ready").get("status") == "True")
    model.complete("Hello", 1)
    model.wait("Ready", "True", "Answers")
    return model


def test_the_first_request_of_readme_wakes_a_model_at_zero_and_is_answered_in_english(
    model: Model, quick_start: QuickStart
) -> None:
    model.wait("Ready", "True", "ScaledToZero")
    assert model.pods("worker") == [] and len(model.pods("head")) == 1
    answer = json.loads(quick_start.ask())
    (choice,) = answer["choices"]
    assert "-tp2-" in answer["system_fingerprint"]
    assert is_english(choice["text"]), choice["text"]
    assert len(model.pods("worker")) == 1
    model.wait("Ready", "True", "Answers")


def test_without_a_key_nobody_is_answered(awake: Model) -> None:
    request = urllib.request.Request(
        f"{awake.url}/v1/models", headers={"Authorization": "Bearer x"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(request, timeout=30)
    assert refused.value.code == 401
    assert json.load(refused.value)["error"]["code"] == "invalid_api_key"


def test_traffic_does_not_notice_that_the_api_server_is_away(
    awake: Model, installation: Installation
) -> None:
    with load(awake, 4) as asked:
        awake.until("some are answered", lambda: asked.answered > 4)
        with installation.node.plane.api_server_stopped():
            before = asked.answered
            awake.until("more are answered meanwhile", lambda: asked.answered > before + 4)
    assert asked.lost == [] and asked.answered == asked.sent
    awake.wait("Ready", "True", "Answers", ENGINE_SECONDS)


def test_a_rollout_that_cannot_start_goes_back_and_no_client_notices(awake: Model) -> None:
    before = awake.status["currentRevision"]
    absent = {"accelerator": "cpu", "image": "registry.example.com/absent:1"}
    with load(awake, 4) as asked:
        awake.edit(engine={"images": [absent]})
        # however long a pod takes to be made
        awake.until("it is told", lambda: "ImagePull" in awake.condition("Reconciling")["message"])
        awake.edit(rollout={"progressDeadline": "3s"})
        told = awake.wait("Stalled", "True", "RolledBack")["message"]
        awake.until("requests come back after it", _more(asked))
    assert asked.lost == [] and asked.answered == asked.sent
    assert absent["image"] in told and before in told
    assert awake.condition("Serving")["status"] == "True"
    assert awake.status["currentRevision"] == before != awake.status["updateRevision"]
    awake.edit(rollout=None, engine=None)
    awake.wait("Ready", "True", "Answers")
    assert awake.status["updateRevision"] == before


def _more(asked: Load) -> Callable[[], bool]:
    """Return whether more requests have come back than at this moment."""
    before = len(asked.ended)
    return lambda: len(asked.ended) > before


def explained(model: Model) -> str:
    """Return what ``freehold explain`` says of the model."""
    command = [*FREEHOLD, "explain", model.name, f"--namespace={model.namespace}"]
    ran = subprocess.run(
        [*command, f"--kubeconfig={model.cluster.kubeconfig}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout


# the last ones, since the second engine stays for minutes and takes the cores from what else starts
def test_under_load_a_worker_pod_comes_for_another_replica(awake: Model) -> None:
    with load(awake, MANY) as asked:
        awake.until("the load is told", lambda: awake.status["scaling"].get("queued"))
        awake.until("a second one is wanted", lambda: awake.status["desiredReplicas"] == 2)
        awake.until("a second worker pod is there", lambda: len(awake.pods("worker")) == 2)
        assert "ScalingUp" in explained(awake)
    assert asked.lost == [] and asked.answered == asked.sent


# on two cores a second engine starts in minutes
@pytest.mark.thorough
def test_each_of_two_replicas_answers_and_a_worker_pod_comes_for_one_that_is_deleted(
    awake: Model,
) -> None:
    awake.edit(autoscaling={"minReplicas": 2})
    with load(awake, 2, tokens=4, pause=3) as few:
        awake.until("two replicas run", lambda: awake.status.get("readyReplicas") == 2)
        pods = awake.serving_workers
        awake.kubectl("delete", "pod", min(pods), "--wait=false")
        awake.until("another one is there", lambda: awake.serving_workers - pods)
        awake.until("the other replica answers", _more(few))
    assert few.lost == [] and few.answered == few.sent
