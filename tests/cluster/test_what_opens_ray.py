"""What opens a model's Ray, and that no log of it tells what opens it or its endpoint."""

from __future__ import annotations

import base64
import json

from tests.cluster.model import Model

# Asks the dashboard and the control store of the pod in which it runs, with several tokens.
_TRY = """
import json, os, subprocess, sys, urllib.error, urllib.request

def asks_dashboard(token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = "http://127.0.0.1:8265/api/serve/applications/"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers)).status
    except urllib.error.HTTPError as error:
        return error.code

def asks_control_store(token):
    environment = {**os.environ, "RAY_AUTH_TOKEN": token}
    done = subprocess.run(["ray", "status"], env=environment, capture_output=True, text=True)
    return [done.returncode, done.stdout + done.stderr]

own = os.environ["RAY_AUTH_TOKEN"]
wrong = own[:-1] + ("0" if own[-1] != "0" else "1")
dashboard = [asks_dashboard(it) for it in ("", wrong, own)]
print(json.dumps([dashboard, asks_control_store(wrong), asks_control_store(own)]))
"""
# Files of Ray's, HAProxy's and Serve's that hold a line of standard input, which no log shows.
_SEARCH = "grep --recursive --devices=skip --files-with-matches --fixed-strings --file=- /tmp || :"


def test_ray_opens_to_its_own_token_alone(awake: Model) -> None:
    (head,) = awake.pods("head")
    told = awake.kubectl("exec", head, "--container=ray-head", "--", "python", "-c", _TRY)
    dashboard, wrong, own = json.loads(told.splitlines()[-1])
    assert dashboard[0] in (401, 403) and dashboard[1] in (401, 403) and dashboard[2] == 200
    assert own[0] == 0 and "cores" in own[1], own
    assert wrong[0] != 0 and "oken" in wrong[1], wrong


def test_no_log_tells_a_key_or_a_token(awake: Model) -> None:
    assert awake.complete("Once upon a time", 4)["choices"]
    secrets = [awake.key, *_tokens(awake)]
    assert len(secrets) > 1
    for role in ("head", "worker"):
        running = [it for it in awake.standing(role) if it["status"]["phase"] == "Running"]
        pods = [it["metadata"]["name"] for it in running]
        # what is searched is there: the model's name stands in files of both
        assert any(_files_with(awake, pod, role, [awake.name]) for pod in pods), pods
        assert not any(_files_with(awake, pod, role, secrets) for pod in pods), pods
        logs = [awake.kubectl("logs", pod, "--all-containers") for pod in pods]
        assert not [it for it in secrets if any(it in log for log in logs)], pods


def _tokens(model: Model) -> list[str]:
    """Return what stands in the Secret that was made for a model's Ray."""
    selector = f"freehold.dev/model={model.name}"
    found = model.cluster.list("secrets", model.namespace, selector)
    ours = [it for it in found if it["metadata"]["name"].startswith(f"{model.name}-tokens-")]
    return [base64.b64decode(value).decode() for it in ours for value in it["data"].values()]


def _files_with(model: Model, pod: str, role: str, words: list[str]) -> list[str]:
    """Return the files of a pod's Ray in which one of some words stands."""
    command = ("--stdin", f"--container=ray-{role}", "--", "sh", "-c", _SEARCH)
    return model.kubectl("exec", pod, *command, stdin="\n".join(words)).split()
