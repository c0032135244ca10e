"""The processes of pods stand still and go on, found by the files of either cgroup version."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from benchmarks.cold_bench.standing_still import pods_group, processes, stopped
from tests.control_plane.processes import wait_for


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


def _group_of(folder: Path, uid: str, *pids: int) -> None:
    group = folder / "burstable" / f"pod{uid}" / "0123"
    group.mkdir(parents=True)
    (group.parent / "cgroup.procs").write_text("")
    (group / "cgroup.procs").write_text("".join(f"{it}\n" for it in pids))


@pytest.mark.parametrize("place", ["node/kubepods", "pids/node/kubepods"])
def test_the_group_of_all_pods_is_found_in_both_versions(tmp_path: Path, place: str) -> None:
    with pytest.raises(FileNotFoundError):
        pods_group("node", tmp_path)
    (tmp_path / place).mkdir(parents=True)
    assert pods_group("node", tmp_path) == tmp_path / place


def test_processes_are_those_of_the_pods_that_are_named(tmp_path: Path) -> None:
    _group_of(tmp_path, "a", 11, 12)
    _group_of(tmp_path, "b", 13)
    assert processes(tmp_path, ["a"]) == {11, 12}
    assert processes(tmp_path, ["a", "b", "gone"]) == {11, 12, 13}


def test_a_process_of_a_pod_stands_still_and_goes_on(
    tmp_path: Path, sleeper: psutil.Process
) -> None:
    _group_of(tmp_path, "a", sleeper.pid)

    def is_(status: str) -> bool:
        return bool(sleeper.status() == status)

    with pytest.raises(KeyError), stopped(tmp_path, ["a"]):
        wait_for("it stands still", lambda: is_(psutil.STATUS_STOPPED), 5.0)
        raise KeyError
    wait_for("it goes on", lambda: is_(psutil.STATUS_SLEEPING), 5.0)
