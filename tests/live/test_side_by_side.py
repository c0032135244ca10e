"""Models of several files answer side by side, one with keys; an edit of one leaves the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.live import keyed_endpoint
from tests.live.harness import Run, complete, eventually, load_on, manifest
from tests.live.keyed_endpoint import KEY, environments, key_folder
from tests.ports import free_port

from freehold.local.replica_address import own_address

RESTART_SECONDS = 240.0
OPEN, KEYED = "open", keyed_endpoint.NAME
PUBLIC = {"authentication": {"type": "None"}}


@dataclass(frozen=True)
class Both:
    """A run with two models, for others of this network: one asks for a key, one does not."""

    run: Run
    port: int
    folder: Path

    def url(self, name: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{name}/v1"


@pytest.fixture(scope="module")
def both(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder, port = tmp_path_factory.mktemp("both"), free_port()
    files = [manifest(folder, OPEN, tiny, endpoint=PUBLIC), manifest(folder, KEYED, tiny)]
    arguments = [*map(str, files), "--port", str(port), "--host", "0.0.0.0"]
    with Run(arguments, environment={"FREEHOLD_API_KEY": KEY}) as run:
        found = Both(run, port, folder)
        for name in (OPEN, KEYED):
            run.says(f"{name} answers at {found.url(name)}")
        yield found


def replica_process(run: Run, name: str) -> int:
    """Return the process of a model's only replica, as Ray calls it."""
    title = f"ray::ServeReplica:{name}:FreeholdServer"
    (found,) = (it for it in run.family() if it.command and it.command[0].startswith(title))
    return found.process.pid


def test_each_is_known_under_its_own_path_alone(both: Both) -> None:
    assert complete(both.url(OPEN), OPEN).json()["model"] == OPEN
    assert complete(both.url(OPEN), KEYED).status_code == 404
    assert complete(both.url(KEYED), KEYED, key=KEY).json()["model"] == KEYED
    # asked for, the endpoint is there for others too, and that is said
    assert "whoever reaches this machine can use the models" in both.run.text
    assert complete(both.url(OPEN, "127.0.0.2"), OPEN).status_code == 200
    # what asks each engine by itself finds it
    address = own_address(replica_process(both.run, OPEN))
    assert address is not None
    assert complete(f"{address}/{OPEN}/v1", OPEN).json()["model"] == OPEN


def test_one_that_asks_for_a_key_opens_to_its_keys_alone(both: Both) -> None:
    assert KEY not in both.run.text
    keyed_endpoint.opens_to_its_key(both.url(KEYED))
    keyed_endpoint.is_shut_without(both.url(KEYED))
    keyed_endpoint.hands_on_nothing_that_steers(both.url(KEYED))
    keyed_endpoint.rotates(both.url(KEYED), key_folder(both.run))
    assert KEY not in environments(both.run)


def test_an_edit_that_restarts_one_leaves_the_other_answering(both: Both, tiny: Path) -> None:
    run, url = both.run, both.url(OPEN)
    source = {"source": f"file://{tiny}", "contextLength": 256}
    with load_on(url, OPEN, clients=1, tokens=8) as codes:
        manifest(both.folder, KEYED, tiny, model=source)
        run.says(f"{KEYED}: replicas restart, since these changed: ", 30)
        eventually(
            "the new engine is ready",
            lambda: run.text.count(f"{KEYED} answers at") == 2,
            RESTART_SECONDS,
        )
        after = run.text.partition(f"{KEYED}: replicas restart")[2]
        assert after.index(f"{KEYED}: loading the engine") < after.index(f"{KEYED}: ready")
        # keys that came while it ran are those of the new engine
        assert keyed_endpoint.admitted(both.url(KEYED), keyed_endpoint.NEXT)
    assert codes
    assert set(codes) == {200}


def test_ctrl_c_ends_both_and_leaves_nothing_behind(both: Both) -> None:
    assert both.run.stop() == 0
    eventually("everything that was started is gone", lambda: not both.run.left_behind(), 10)
