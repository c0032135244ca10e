"""`make cluster` leaves nothing behind: taken down, not come up, or with its holder killed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest
from tests.control_plane.processes import wait_for
from tests.installation.kuberay import CRDS
from tests.integration.development_task import folder_of, task_in
from tests.integration.harness import processes_of, processes_with

pytestmark = pytest.mark.thorough


def test_nothing_is_left_when_it_is_taken_down(tmp_path: Path) -> None:
    task = task_in(tmp_path)
    try:
        folder = folder_of(task.up())
        assert {"etcd", "kube-apiserver"} <= {*processes_of(folder)}
    finally:
        down = task.run("down")
    assert down.stdout == "the cluster is down\n"
    assert not folder.exists()
    assert processes_of(folder) == []
    assert task.run("status").returncode == 1
    assert task.run("down").stdout == "no cluster ran\n"


def test_what_keeps_it_from_coming_up_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CRDS, str(tmp_path / "none"))
    task = task_in(tmp_path)
    done = task.run("up")
    assert done.returncode == 1
    assert f'the path "{tmp_path / "none"}" does not exist' in done.stdout
    assert "did not come up" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert processes_with("FREEHOLD_CACHE", str(tmp_path)) == []
    assert task.run("status").returncode == 1


def test_nothing_is_left_when_its_holder_is_killed(tmp_path: Path) -> None:
    task = task_in(tmp_path)
    try:
        folder = folder_of(task.up())
        holder = json.loads((tmp_path / "cluster" / "running.json").read_text())
        psutil.Process(holder["pid"]).send_signal(signal.SIGKILL)
        wait_for("the folder is gone", lambda: not folder.exists(), 30)
        wait_for("no process is left", lambda: not processes_of(folder), 30)
        assert task.run("status").returncode == 1
    finally:
        task.run("down")
