"""Models of several files answer side by side, and an edit of one leaves the other alone."""

from __future__ import annotations

from pathlib import Path

from tests.live.harness import Run, complete, eventually, load_on, manifest
from tests.ports import free_port

from freehold.local.replica_address import own_address

RESTART_SECONDS = 240.0
PUBLIC = {"authentication": {"type": "None"}}


def replica_process(run: Run, name: str) -> int:
    """Return the process of a model's only replica, as Ray calls it."""
    title = f"ray::ServeReplica:{name}:FreeholdServer"
    (found,) = (it for it in run.family() if it.command and it.command[0].startswith(title))
    return found.process.pid


def test_an_edit_that_restarts_one_model_leaves_the_other_answering(
    tiny: Path, tmp_path: Path
) -> None:
    files = [manifest(tmp_path, name, tiny, endpoint=PUBLIC) for name in ("first", "second")]
    port = free_port()
    urls = {name: f"http://127.0.0.1:{port}/{name}/v1" for name in ("first", "second")}
    with Run([*map(str, files), "--port", str(port), "--host", "0.0.0.0"]) as run:
        for name, url in urls.items():
            run.says(f"{name} answers at {url}")
            assert complete(url, name).json()["model"] == name
        # asked for, the endpoint is there for others too, and that is said
        assert "whoever reaches this machine can use the models" in run.text
        assert complete(f"http://127.0.0.2:{port}/first/v1", "first").status_code == 200
        # what asks each engine by itself finds it
        address = own_address(replica_process(run, "first"))
        assert address is not None
        assert complete(f"{address}/first/v1", "first").json()["model"] == "first"
        # a model is known under its own path alone
        assert complete(urls["first"], "second").status_code == 404

        with load_on(urls["second"], "second", clients=1, tokens=8) as codes:
            manifest(
                tmp_path,
                "first",
                tiny,
                model={"source": f"file://{tiny}", "contextLength": 256},
                endpoint=PUBLIC,
            )
            run.says("first: replicas restart, since these changed: ", 30)
            eventually(
                "the new engine is ready",
                lambda: run.text.count("first answers at") == 2,
                RESTART_SECONDS,
            )
            after = run.text.partition("first: replicas restart")[2]
            assert after.index("first: loading the engine") < after.index("first: ready")
            assert complete(urls["first"], "first").status_code == 200
        assert codes
        assert set(codes) == {200}
        assert run.stop() == 0
    eventually("everything that was started is gone", lambda: not run.left_behind(), 10)
