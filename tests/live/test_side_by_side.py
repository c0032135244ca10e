"""Models of several files answer side by side, for others, who need a key; an edit is of one."""

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
FIRST, SECOND = keyed_endpoint.NAME, "other"


@dataclass(frozen=True)
class Both:
    """A run with two models, for others of this network, and so with a key."""

    run: Run
    port: int
    folder: Path

    def url(self, name: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{name}/v1"


@pytest.fixture(scope="module")
def both(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder, port = tmp_path_factory.mktemp("both"), free_port()
    files = [manifest(folder, name, tiny) for name in (FIRST, SECOND)]
    arguments = [*map(str, files), "--port", str(port), "--host", "0.0.0.0"]
    with Run(arguments, environment={"FREEHOLD_API_KEY": KEY}) as run:
        found = Both(run, port, folder)
        for name in (FIRST, SECOND):
            run.says(f"{name} answers at {found.url(name)}")
        yield found


def replica_process(run: Run, name: str) -> int:
    """Return the process of a model's only replica, as Ray calls it."""
    title = f"ray::ServeReplica:{name}:FreeholdServer"
    (found,) = (it for it in run.family() if it.command and it.command[0].startswith(title))
    return found.process.pid


def test_each_is_known_under_its_own_path_alone(both: Both) -> None:
    for name in (FIRST, SECOND):
        assert complete(both.url(name), name, key=KEY).json()["model"] == name
    assert complete(both.url(FIRST), SECOND, key=KEY).status_code == 404
    # asked for, the endpoint is there for others too
    assert complete(both.url(FIRST, "127.0.0.2"), FIRST, key=KEY).status_code == 200
    # what asks each engine by itself finds it
    address = own_address(replica_process(both.run, FIRST))
    assert address is not None
    assert complete(f"{address}/{FIRST}/v1", FIRST, key=KEY).json()["model"] == FIRST


def test_it_opens_to_its_keys_alone(both: Both) -> None:
    assert KEY not in both.run.text
    keyed_endpoint.opens_to_its_key(both.url(FIRST))
    keyed_endpoint.is_shut_without(both.url(FIRST))
    keyed_endpoint.hands_on_nothing_that_steers(both.url(FIRST))
    assert KEY not in environments(both.run)


def test_an_edit_that_restarts_one_leaves_the_other_answering(both: Both, tiny: Path) -> None:
    run, url = both.run, both.url(SECOND)
    source = {"source": f"file://{tiny}", "contextLength": 256}
    with load_on(url, SECOND, clients=1, tokens=8, key=KEY) as codes:
        manifest(both.folder, FIRST, tiny, model=source)
        run.says(f"{FIRST}: replicas restart, since these changed: ", 30)
        eventually(
            "the new engine is ready",
            lambda: run.text.count(f"{FIRST} answers at") == 2,
            RESTART_SECONDS,
        )
        after = run.text.partition(f"{FIRST}: replicas restart")[2]
        assert after.index(f"{FIRST}: loading the engine") < after.index(f"{FIRST}: ready")
        assert complete(both.url(FIRST), FIRST, key=KEY).status_code == 200
    assert codes
    assert set(codes) == {200}


def test_keys_come_and_go_while_an_engine_runs(both: Both) -> None:
    keyed_endpoint.rotates(both.url(FIRST), key_folder(both.run))


def test_ctrl_c_ends_both_and_leaves_nothing_behind(both: Both) -> None:
    assert both.run.stop() == 0
    eventually("everything that was started is gone", lambda: not both.run.left_behind(), 10)
