"""Models on a hub: read, refused, out of reach, and from the cache."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from tests.unit.sources.configs import config
from tests.unit.sources.fake_hub import COMMIT, FakeHub

from freehold.api.faults import Fault
from freehold.sources.hub import Hub, HubDescription, check_access, describe_repository

NAME = "acme/tiny"
INDEX = "model.safetensors.index.json"
SHARDS = {"metadata": {"total_size": 4096}, "weight_map": {"a": "a.safetensors"}}


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    hub = FakeHub(NAME)
    hub.put("config.json", config("qwen3-4b"))
    hub.put(INDEX, SHARDS)
    hub.put("a.safetensors", b"x" * 4200)
    with hub.running():
        yield hub


@pytest.fixture
def hub(fake: FakeHub, tmp_path: Path) -> Hub:
    return Hub(fake.url, tmp_path / "cache", answer_seconds=2, total_seconds=20)


def gone(hub: Hub) -> Hub:
    """Return a hub with the same cache where nobody listens."""
    return Hub("http://127.0.0.1:9", hub.cache, answer_seconds=2, total_seconds=20)


def described(hub: Hub, revision: str | None = None, **more: Any) -> HubDescription:
    found = describe_repository(NAME, revision, hub=hub, **more)
    assert isinstance(found, HubDescription), [str(fault) for fault in found]
    return found


def refusal(hub: Hub, name: str = NAME, revision: str | None = None, **more: Any) -> Fault:
    found = describe_repository(name, revision, hub=hub, **more)
    assert isinstance(found, tuple)
    assert len(found) == 1
    assert "\n" not in str(found[0])
    return found[0]


@pytest.mark.parametrize("revision", [None, "main", "v1", COMMIT])
def test_described_with_its_commit_and_without_its_weights(
    fake: FakeHub, hub: Hub, revision: str | None
) -> None:
    found = described(hub, revision)
    assert found.commit == COMMIT
    assert (found.description.layers, found.description.checkpoint.size) == (36, "4096")
    assert not [path for _, path in fake.requests if path.endswith(".safetensors")]


def test_no_progress_bar_is_drawn(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    described(hub)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_single_file_has_the_size_that_the_hub_tells(fake: FakeHub, hub: Hub) -> None:
    del fake.files[INDEX]
    fake.put("model.safetensors", b"x" * 777)
    assert described(hub).description.checkpoint.size == "777"
    assert ("GET", f"/{NAME}/resolve/{COMMIT}/model.safetensors") not in fake.requests


def test_index_without_a_total(fake: FakeHub, hub: Hub) -> None:
    fake.put(INDEX, SHARDS | {"metadata": {}})
    assert described(hub).description.checkpoint.size == "4200"


def test_model_optimizer_file(fake: FakeHub, hub: Hub) -> None:
    fake.put("hf_quant_config.json", {"quantization": {"quant_algo": "NVFP4"}})
    assert described(hub).description.checkpoint.precision == "nvfp4"


def test_token_opens_a_gated_repository(fake: FakeHub, hub: Hub) -> None:
    fake.token = "hf_right"
    opened = Hub(hub.endpoint, hub.cache, "hf_right", answer_seconds=2, total_seconds=20)
    assert described(opened).commit == COMMIT
    assert check_access(NAME, None, hub=opened) == ()


@pytest.mark.parametrize("status", [401, 403])
def test_gated(fake: FakeHub, hub: Hub, status: int) -> None:
    fake.refuses = (status, "GatedRepo")
    fault = refusal(hub)
    assert (fault.path, "gated" in fault.found) == ("spec.model.source", True)
    assert f"{fake.url}/{NAME}" in fault.hint
    assert "HF_TOKEN" in fault.hint
    assert "spec.model.credentials" in fault.hint
    assert check_access(NAME, None, hub=hub) == (fault,)


def test_unknown_repository(hub: Hub) -> None:
    fault = refusal(hub, "acme/none")
    assert (fault.path, "acme/none" in fault.found) == ("spec.model.source", True)
    assert check_access("acme/none", None, hub=hub) == (fault,)


def test_unknown_revision(hub: Hub) -> None:
    fault = refusal(hub, revision="v9")
    assert (fault.path, "'v9'" in fault.found) == ("spec.model.revision", True)
    assert check_access(NAME, "v9", hub=hub) == (fault,)


def test_impossible_repository_id(hub: Hub) -> None:
    assert refusal(hub, "a/b/c").found == "'a/b/c'"


def test_refused_token(fake: FakeHub, hub: Hub) -> None:
    fake.refuses = (403, "")
    assert "HTTP 403" in refusal(hub).found
    assert "token" in refusal(hub).allowed


def test_hub_out_of_order(fake: FakeHub, hub: Hub) -> None:
    fake.refuses = (503, "")
    assert "HTTP 503" in refusal(hub).found


def test_repository_without_config(fake: FakeHub, hub: Hub) -> None:
    del fake.files["config.json"]
    assert "no config.json" in refusal(hub).found


def test_repository_without_safetensors(fake: FakeHub, hub: Hub) -> None:
    del fake.files[INDEX]
    fake.put("pytorch_model.bin", b"x")
    assert "neither model.safetensors" in refusal(hub).found


def test_broken_files_are_named(fake: FakeHub, hub: Hub) -> None:
    fake.put("config.json", b"{")
    assert refusal(hub).path == f"config.json of {NAME}"


def test_faults_of_the_config_name_the_repository(fake: FakeHub, hub: Hub) -> None:
    fake.put("config.json", config("qwen3-4b") | {"num_hidden_layers": 0})
    assert refusal(hub).path == f"config.json of {NAME}: num_hidden_layers"


def test_silent_hub_is_not_waited_for(fake: FakeHub, tmp_path: Path) -> None:
    fake.silent = threading.Event()
    start = time.monotonic()
    fault = refusal(Hub(fake.url, tmp_path, answer_seconds=0.3, total_seconds=20))
    assert "did not answer in 0.3 s" in fault.found
    assert len(fake.requests) == 1
    assert time.monotonic() - start < 5


def test_everything_together_is_bounded(fake: FakeHub, tmp_path: Path) -> None:
    fake.silent = threading.Event()
    hub = Hub(fake.url, tmp_path, answer_seconds=20, total_seconds=0.3)
    start = time.monotonic()
    assert "did not answer in 0.3 s" in refusal(hub).found
    assert check_access(NAME, None, hub=hub)[0].found == refusal(hub).found
    assert time.monotonic() - start < 5


def test_no_network(hub: Hub) -> None:
    fault = refusal(gone(hub))
    assert "cannot be reached" in fault.found
    assert "spec.model.architecture" in fault.hint
    assert check_access(NAME, None, hub=gone(hub)) == (fault,)


def test_cache_stands_in_for_a_hub_out_of_reach(fake: FakeHub, hub: Hub) -> None:
    online = described(hub)
    assert described(gone(hub)) == online
    fake.silent = threading.Event()
    assert described(hub) == online


def test_cache_does_not_stand_in_for_a_deleted_revision(fake: FakeHub, hub: Hub) -> None:
    described(hub)
    fake.refuses = (404, "RevisionNotFound")
    assert refusal(hub).path == "spec.model.revision"


def test_offline_with_cache(fake: FakeHub, hub: Hub) -> None:
    online = described(hub)
    asked = len(fake.requests)
    assert described(hub, offline=True) == online
    assert described(hub, COMMIT, offline=True) == online
    assert len(fake.requests) == asked


def test_offline_without_cache(fake: FakeHub, hub: Hub) -> None:
    fault = refusal(hub, offline=True)
    assert "offline" in fault.found
    assert f"hf download {NAME}" in fault.hint
    assert fake.requests == []


def test_offline_variable_of_the_library(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "offline" in refusal(hub).found


def test_weights_can_be_had_offline_only_from_a_whole_cache(fake: FakeHub, hub: Hub) -> None:
    described(hub)
    missing = check_access(NAME, None, offline=True, hub=hub)
    assert "1 of its files (a.safetensors)" in missing[0].found
    assert check_access(NAME, None, hub=hub) == ()
    assert hub.cache is not None
    snapshot = next((hub.cache / "models--acme--tiny" / "snapshots").iterdir())
    (snapshot / "a.safetensors").write_bytes(b"x" * 4200)
    asked = len(fake.requests)
    assert check_access(NAME, None, offline=True, hub=hub) == ()
    assert check_access(NAME, None, hub=hub) == ()
    assert len(fake.requests) == asked


def test_single_cached_file_is_weighed(fake: FakeHub, hub: Hub) -> None:
    del fake.files[INDEX]
    fake.put("model.safetensors", b"x" * 777)
    described(hub)
    assert hub.cache is not None
    snapshot = next((hub.cache / "models--acme--tiny" / "snapshots").iterdir())
    (snapshot / "model.safetensors").write_bytes(b"x" * 777)
    assert described(hub, offline=True).description.checkpoint.size == "777"
    assert check_access(NAME, None, offline=True, hub=hub) == ()


def test_cache_folder_that_cannot_be_written(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    fault = refusal(Hub(fake.url, tmp_path / "file" / "cache", answer_seconds=2, total_seconds=20))
    assert "HF_HOME" in fault.hint
