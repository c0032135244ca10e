"""Sources that a node does not have at hand: what is wrong with them at first, and then tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cluster.model import Model
from tests.english import is_english
from tests.faults.conftest import Keep
from tests.faults.new_models import new, refused, worker_with
from tests.faults.weights import DEMO, copied
from tests.node.machine import HOST_ADDRESS
from tests.s3.server import running_s3
from tests.unit.sources.fake_hub import COMMIT, FakeHub

CLAIM, SECRET, WRONG = "weights", "source", "not-the-right-one"


def test_the_claim_is_missing(place: Callable[[str], Model], keep: Keep) -> None:
    model = place("claimed")
    source = f"pvc://{CLAIM}/{DEMO.name}"
    fault = "The volume claim with the weights is missing, then made"
    with new(fault, model, model={"source": source}) as story:
        story.told = refused(model)
        _claim(model, DEMO.parent)
    keep(story)
    assert CLAIM in story.told
    tells_a_story(model)


def test_the_bucket_s_key_is_wrong(
    place: Callable[[str], Model], tmp_path: Path, keep: Keep
) -> None:
    model = place("in-a-bucket")
    (tmp_path / "models").mkdir()
    copied(tmp_path / "models" / "gemma")
    with running_s3(tmp_path, HOST_ADDRESS) as s3:
        secret = _secret(model, s3.environment | {"AWS_SECRET_ACCESS_KEY": WRONG})
        source = {"source": "s3://models/gemma", **secret}
        with new("The key of the bucket is wrong, then right", model, model=source) as story:
            story.told = refused(model)
            _secret(model, s3.environment)
        keep(story)
        assert "s3://models/gemma" in story.told and WRONG not in story.told
        tells_a_story(model)


def test_the_hub_s_token_is_wrong(place: Callable[[str], Model], keep: Keep) -> None:
    model, hub = place("on-a-hub"), FakeHub("acme/gemma", token="the-token-of-the-hub")
    for path in DEMO.iterdir():
        hub.put(path.name, path.read_bytes())
    with hub.running(HOST_ADDRESS):
        environment = [
            {"name": "HF_ENDPOINT", "value": hub.url},
            {"name": "HF_HUB_OFFLINE", "value": "0"},
        ]
        source = {"source": f"hf://{hub.repository}", **_secret(model, {"HF_TOKEN": WRONG})}
        fault = "The token of the hub may not read the model, then it may"
        with new(fault, model, model=source, templates=worker_with(environment)) as story:
            story.told = refused(model)
            _secret(model, {"HF_TOKEN": str(hub.token)})
        keep(story)
        assert hub.repository in story.told and WRONG not in story.told
        tells_a_story(model)
        # the weights are those of the commit that was found when the rollout was decided
        read = {path for _, path in hub.requests if path.endswith(".safetensors")}
        assert read == {f"/{hub.repository}/resolve/{COMMIT}/model.safetensors"}


def tells_a_story(model: Model) -> None:
    """Wake a model at zero and have it write English."""
    (choice,) = model.complete("Once upon a time", 24)["choices"]
    assert is_english(choice["text"]), choice["text"]


def _claim(model: Model, folder: Path) -> None:
    """Make a claim of a volume that is a folder of the node."""
    size = {"storage": "1Gi"}
    both = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = both | {"capacity": size, "hostPath": {"path": str(folder)}}
    claim = both | {"volumeName": CLAIM, "resources": {"requests": size}}
    for kind, spec in (("PersistentVolume", volume), ("PersistentVolumeClaim", claim)):
        made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": CLAIM}, "spec": spec}
        namespace = model.namespace if kind.endswith("Claim") else None
        model.cluster.apply(made, namespace=namespace)


def _secret(model: Model, entries: dict[str, str]) -> dict[str, object]:
    """Write the Secret that opens a source; returns the fields that name it."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "stringData": entries,
    }
    model.cluster.apply(secret, namespace=model.namespace)
    return {"credentials": {"secretRef": {"name": SECRET}}}
