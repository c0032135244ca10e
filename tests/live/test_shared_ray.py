"""A Ray that serves somebody else: ours come and go beside it, and it answers throughout."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.live.harness import (
    FREEHOLD,
    Run,
    complete,
    eventually,
    manifest,
    shared_memory,
)
from tests.ports import free_port

from freehold.local.ray_process import RayProcess
from freehold.local.serve_rest import ServeRest

FOREIGN = """
from ray import serve


@serve.deployment
class Hello:
    def __call__(self, request):
        return "hello"


application = Hello.bind()
"""


@pytest.fixture
def shared_ray(tmp_path: Path) -> Iterator[tuple[ServeRest, RayProcess, int]]:
    """Start a Ray with an application of somebody else."""
    (tmp_path / "foreign.py").write_text(FOREIGN)
    ray = RayProcess(cpus=8, environment={"PYTHONPATH": str(tmp_path), "HF_HUB_OFFLINE": "1"})
    port, memory = free_port(), shared_memory()
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: _nothing_new(memory))
        stack.callback(ray.stop)
        ray.start()
        rest = stack.enter_context(contextlib.closing(ServeRest(ray.address, ray.token)))
        eventually("the dashboard answers", lambda: _answers(rest), 120)
        rest.apply(
            {
                "http_options": {"host": "127.0.0.1", "port": port},
                "applications": [
                    {
                        "name": "foreign",
                        "route_prefix": "/foreign",
                        "import_path": "foreign:application",
                    }
                ],
            }
        )
        eventually("it says hello", lambda: _hello(port) == 200, 120)
        yield rest, ray, port


def _nothing_new(memory: set[str]) -> None:
    assert shared_memory() <= memory


def _answers(rest: ServeRest) -> bool:
    from freehold.errors import RayUnavailable

    try:
        rest.details()
    except RayUnavailable:
        return False
    return True


def _hello(port: int) -> int:
    try:
        url = f"http://127.0.0.1:{port}/foreign"
        return httpx.get(url, timeout=20, trust_env=False).status_code
    except httpx.HTTPError:
        return 0


def _foreign_config(rest: ServeRest) -> Any:
    return rest.details()["applications"]["foreign"]["deployed_app_config"]


@pytest.mark.thorough
def test_a_foreign_application_answers_throughout_and_is_sent_back_unchanged(
    shared_ray: tuple[ServeRest, RayProcess, int], tiny: Path, tmp_path: Path
) -> None:
    rest, ray, port = shared_ray
    before = _foreign_config(rest)
    stop, codes = threading.Event(), []

    def keep_asking() -> None:
        while not stop.is_set():
            codes.append(_hello(port))
            stop.wait(0.1)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    file = manifest(tmp_path, "tiny", tiny)
    other = manifest(tmp_path, "foreign", tiny)
    environment = {"RAY_AUTH_TOKEN": ray.token}
    try:
        refused = subprocess.run(
            [*FREEHOLD, str(other), "--address", ray.address],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert refused.returncode == 7
        assert "already serves an application named 'foreign'" in refused.stderr

        arguments = [str(file), "--address", ray.address]
        with Run(arguments, environment=environment) as run:
            run.says("tiny answers at")
            assert complete(f"http://127.0.0.1:{port}/tiny/v1", "tiny").status_code == 200
            # the engine leaves shared memory, which this Ray removes when it ends
            ray.take_stock()
            assert _foreign_config(rest) == before
            assert run.stop() == 0
        assert set(rest.details()["applications"]) <= {"foreign", "tiny"}
        eventually("ours is gone", lambda: set(rest.details()["applications"]) == {"foreign"}, 60)
        assert _foreign_config(rest) == before
    finally:
        stop.set()
        asking.join()
    assert len(codes) > 50
    assert set(codes) == {200}
