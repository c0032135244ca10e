"""Serve's words on an application are read as they come, whatever is missing of them."""

from __future__ import annotations

import pytest
from tests.unit.local.serve_details import SERVER, application, deployment, details, replica

from freehold.local.applications import (
    ApplicationState,
    ReplicaState,
    application_state,
    failed_starts,
)

FAILED = (
    "The deployment failed to start {} times in a row. This may be due to a problem with its "
    "constructor or initial health check failing. See controller logs for details. Error:\n..."
)


def test_replicas_and_target_are_those_of_the_models_server() -> None:
    server = deployment(replica("a"), replica("b", "STARTING"), target=2)
    router = deployment(replica("r1"), replica("r2"), replica("r3"), target=3)
    told = details(application(deployments={"LLMRouter": router, SERVER: server}))
    state = application_state(told, "chat", SERVER)
    assert (state.status, state.target, state.running) == ("RUNNING", 2, 1)
    assert state.replicas[0] == ReplicaState("a", "RUNNING", 1097, "worker-of-a")
    assert not state.failed


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"applications": None},
        details(),
        details(application("other", deployments={SERVER: deployment(replica("a"))})),
    ],
)
def test_an_application_that_serve_does_not_know_has_no_state(told: dict[str, object]) -> None:
    assert application_state(told, "chat", SERVER) == ApplicationState()


def test_an_application_whose_new_code_does_not_build_has_no_deployments() -> None:
    message = "Deploying app 'chat' failed with exception:\nImportError: no module named 'x'"
    told = details(application(status="DEPLOY_FAILED", message=message))
    state = application_state(told, "chat", SERVER)
    assert state.failed
    assert (state.target, state.replicas) == (0, ())
    assert state.message == message


def test_fields_that_are_null_count_as_nothing() -> None:
    server = deployment() | {"message": None, "replicas": None, "target_num_replicas": None}
    half = replica("a") | {"pid": None, "worker_id": None, "replica_id": None, "state": None}
    told = details(application(deployments={"X": server, SERVER: server | {"replicas": [half]}}))
    told["applications"]["chat"]["message"] = None
    state = application_state(told, "chat", SERVER)
    assert state == ApplicationState("RUNNING", "", 0, (ReplicaState("", "", None, ""),))


def test_messages_of_every_deployment_are_told() -> None:
    waits = "Deployment 'FreeholdServer:chat' in application 'chat' has 1 replicas that have taken"
    told = details(
        application(
            status="DEPLOYING",
            message="first",
            deployments={"LLMRouter": deployment(), SERVER: deployment(message=waits)},
        )
    )
    assert application_state(told, "chat", SERVER).message == f"first\n{waits}"


@pytest.mark.parametrize(
    ("message", "count"),
    [
        ("", 0),
        (FAILED.format(3), 3),
        (f"{FAILED.format(1)}\n{FAILED.format(12)}\n{FAILED.format(4)}", 12),
        ("A replica failed to start with exception. Retrying 2 more time(s). Error:\n...", 1),
        (
            "The deployment failed to start 3 times in a row during a rolling update. This may be",
            3,
        ),
    ],
)
def test_failed_starts_are_counted_from_the_first(message: str, count: int) -> None:
    assert failed_starts(ApplicationState(message=message)) == count
