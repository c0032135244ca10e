"""When a rollout is given up for what served before it, and with which words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.status.situations import (
    BROKEN,
    COMING,
    GIVEN_UP,
    KILLED,
    LATER,
    NOW,
    PODS,
    ROLLED,
    SERVED,
    SERVES,
    application,
    beside,
    cluster,
    condition,
    full,
    pod,
    rolling,
    service,
    status_of,
    with_pod,
)

from freehold.api import conditions as api
from freehold.status.outcome import (
    Engines,
    Finding,
    Outcome,
    PassError,
    Retry,
    RolledBack,
    Submission,
)
from freehold.status.overdue import given_up
from freehold.status.pod_state import ContainerTrouble

CRASHES = (ContainerTrouble("ray-worker", "CrashLoopBackOff", "last ended with Error"),)
AT = pod("chat-new-v", of="chat-new", address="10.0.0.9")
GONE = pod("chat-new-w", of="chat-new", failed=True, evicted="It takes over 1Gi. ")
UNFIT = pod("chat-new-w", of="chat-new", running=False, unschedulable="0/3 nodes are available")
SAID_RUNNING, SAID_FAILED = (
    Submission("chat-old", status, taken=True) for status in ("RUNNING", "DEPLOY_FAILED")
)
DOWN = replace(BROKEN, engines=Engines(1), submission=SAID_FAILED)
KEYS = Finding(api.API_KEYS_MISSING, "no Secret chat-keys")
REPLACING = replace(
    SERVES, ray_service=service(cluster("chat-old", application("DEPLOYING", "", "UPDATING")))
)
WAITS = pod("chat-old-h100-worker-9", running=False, unschedulable="0/3")
HANGS = beside(application("DEPLOYING", "", "UPDATING"))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        pytest.param(
            beside(pods=(UNFIT,)),
            "No node takes 1 pod (chat-new-w); the scheduler says: 0/3 nodes are available.",
            id="no node",
        ),
        pytest.param(
            beside(pods=(pod("chat-new-w", of="chat-new", running=False, troubles=CRASHES),)),
            "Pod chat-new-w, container ray-worker: CrashLoopBackOff (last ended with Error).",
            id="a crash loop",
        ),
        pytest.param(
            replace(beside(), ray_clusters=(full("chat-new"),)),
            "KubeRay cannot make a pod of cluster chat-new: exceeded quota: pods.",
            id="a quota",
        ),
        pytest.param(
            replace(beside(), failed=(GONE,)),
            "Pod chat-new-w was evicted: It takes over 1Gi.",
            id="a node ended a pod",
        ),
        pytest.param(
            replace(beside(), failed=(pod("chat-new-w", of="chat-new", troubles=(KILLED,)),)),
            "Pod chat-new-w, container ray-worker: OOMKilled (exit code 137).",
            id="the kernel ended what is gone",
        ),
        pytest.param(
            replace(
                beside(
                    application("DEPLOY_FAILED", "ActorDiedError (pid=7, ip=10.0.0.9)"), pods=(AT,)
                ),
                failed=(GONE,),
            ),
            "Serve could not deploy chat on cluster chat-new: "
            "Pod chat-new-w was evicted: It takes over 1Gi.",
            id="Serve does not know why its engine is gone",
        ),
        pytest.param(
            beside(application("DEPLOY_FAILED", "ValueError: no weights")),
            "Serve could not deploy chat on cluster chat-new: ValueError: no weights.",
            id="Serve gave up beside what serves",
        ),
        pytest.param(BROKEN, "ValueError: no such argument.", id="Serve gave up in place"),
        pytest.param(
            rolling("NewReplicas", replace(REPLACING, pods=(*PODS, WAITS))),
            "No node takes 1 pod (chat-old-h100-worker-9); the scheduler says: 0/3.",
            id="no node for a successor in the same cluster",
        ),
        pytest.param(
            replace(beside(), lacks=KEYS),
            "no Secret chat-keys",
            id="its pods wait for keys that were taken away",
        ),
        pytest.param(
            replace(HANGS, pods=(*HANGS.pods, pod("chat-new-head", "head", "chat-new"))),
            "Serve on cluster chat-new says DEPLOYING of chat (LLMServer:chat UPDATING).",
            id="it hangs",
        ),
        pytest.param(
            beside(pods=(pod("chat-new-w", of="chat-new", running=False),)),
            "0 of 1 pods of cluster chat-new run; waiting for chat-new-w.",
            id="a pod does not start",
        ),
        pytest.param(
            rolling(
                "NewCluster",
                replace(with_pod(unschedulable="0/3"), current_revision="chat-1"),
            ),
            "No node takes 1 pod (chat-old-h100-worker-0); the scheduler says: 0/3.",
            id="Recreate without a node",
        ),
    ],
)
def test_a_rollout_is_given_up_at_its_deadline(outcome: Outcome, words: str) -> None:
    began = status_of(outcome, NOW, ROLLED)
    assert given_up(outcome, began, NOW + timedelta(minutes=29)) == ""
    cause = given_up(outcome, began, NOW + timedelta(minutes=30))
    assert cause.startswith("Not done within spec.rollout.progressDeadline (1800 s). ")
    assert cause.endswith(words)


REFUSED = service(
    cluster("chat-old", application()),
    None,
    condition("Ready", "False", "ValidationFailed", "the name is too long", None),
)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        pytest.param(DOWN, "ValueError: no such argument.", id="nothing answers any more"),
        pytest.param(
            rolling("InPlace", replace(BROKEN, ray_service=REFUSED)),
            "KubeRay refuses RayService chat: the name is too long.",
            id="KubeRay refuses it",
        ),
    ],
)
def test_what_does_not_get_better_is_given_up_at_once(outcome: Outcome, words: str) -> None:
    assert given_up(outcome, ROLLED, NOW).endswith(words)


OVERDUE = beside(pods=(UNFIT,))
GOES_ON: dict[str, Outcome] = {
    "there is no rollout": replace(OVERDUE, rollout=None),
    "nothing has served": replace(OVERDUE, current_revision=""),
    "it has gone back already": replace(OVERDUE, **{**GIVEN_UP, "rollout": OVERDUE.rollout}),
    "it is suspended": replace(OVERDUE, suspended=True),
    "it is paused": replace(OVERDUE, paused=True),
    "it is deleted": replace(OVERDUE, deleting=True),
    "the pass ended early": replace(OVERDUE, error=PassError("429")),
    "nothing was looked at": replace(OVERDUE, observed=False),
    "KubeRay is gone": replace(OVERDUE, kuberay=False),
    "another spec is refused": replace(OVERDUE, refusal=Finding(api.NO_HARDWARE, "no h200")),
    "it waits for keys before it asks for pods": replace(OVERDUE, child_refusal=KEYS),
    "a child is refused": replace(OVERDUE, child_refusal=Finding(api.CHILD_REFUSED, "denied")),
}


@pytest.mark.parametrize("outcome", GOES_ON.values(), ids=GOES_ON)
def test_nothing_is_given_up_while(outcome: Outcome) -> None:
    assert given_up(OVERDUE, ROLLED, LATER) != ""
    assert given_up(outcome, ROLLED, LATER) == ""


STALE: dict[str, Submission | None] = {
    "Serve does not answer": None,
    "Serve has the former config": replace(SAID_FAILED, taken=False),
    "Serve builds it": replace(SAID_FAILED, status="DEPLOYING"),
    "it is another cluster": replace(SAID_FAILED, cluster="chat-new"),
}


@pytest.mark.parametrize("said", STALE.values(), ids=STALE)
def test_kuberay_s_word_alone_ends_no_rollout(said: Submission | None) -> None:
    """It may be of the application of before."""
    assert given_up(replace(DOWN, submission=said), ROLLED, NOW) == ""


def test_the_pod_is_named_by_the_address_in_the_traceback() -> None:
    words = (
        "\x1b[36mray::ServeReplica:chat:Server.initialize()\x1b[39m (pid=7, ip=10.0.0.9, "
        "actor_id=4a)\nRuntimeError: weights are cut"
    )
    pods = (
        pod("chat-new-head", "head", "chat-new", address="10.0.0.8"),
        pod("chat-new-w", of="chat-new", address="10.0.0.9"),
        pod("chat-old-w", address="10.0.0.9"),
    )
    outcome = beside(application("DEPLOY_FAILED", words), pods=pods)
    assert given_up(outcome, ROLLED, LATER).endswith(
        "on cluster chat-new (pod chat-new-w): RuntimeError: weights are cut."
    )


def told(outcome: Outcome, old: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {it["type"]: it for it in status_of(outcome, LATER, old)["conditions"]}


def test_one_line_says_why_from_where_and_to_what() -> None:
    back = RolledBack("chat-2", "chat-1", "Pod chat-new-w crashes\nagain and again")
    found = told(replace(COMING, **{**GIVEN_UP, "rolled_back": back}), SERVED)
    words = "Revision chat-2 was given up: Pod chat-new-w crashes again and again."
    assert found["Stalled"]["message"] == f"{words} Back to revision chat-1."
    assert found["Ready"]["reason"] == found["Serving"]["reason"] == "Deploying"


def test_what_is_given_to_serve_again_stays_failed_until_it_runs() -> None:
    retried = replace(
        COMING,
        ray_service=service(None, cluster("chat-old", application("DEPLOYING"))),
        retry=Retry("chat-old", "KeyError: 'x'", 2),
    )
    assert told(retried, {})["Ready"]["message"] == (
        "Serve could not deploy chat on cluster chat-old: KeyError: 'x'. "
        "Given to Serve again 2 times."
    )
    runs = replace(retried, ray_service=service(cluster("chat-old", application())))
    assert told(runs, {})["Ready"]["reason"] == "Probing"
