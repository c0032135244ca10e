"""On a real Ray: a replica whose files are not those of the rollout is ended before its engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.llm._internal.common.utils.import_utils import load_class
from tests.unit.sources.weights import write_weights

from freehold.render.source_pin import WEIGHTS_CHECK
from freehold.serving.weights import LocalFiles, fingerprint
from freehold.status.engine_words import engine_words

pytestmark = pytest.mark.live


@pytest.fixture(name="replica", scope="module")
def _replica() -> Iterator[Any]:
    """A placement group of two nodes, of which this process is on one."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, configure_logging=False)
    group = ray.util.placement_group([{"CPU": 1}] * 2, strategy="STRICT_SPREAD")
    ray.get(group.ready())
    yield group
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    write_weights(tmp_path / "model.safetensors", 5000)
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def check(folder: Path, replica: Any, load_format: str = "auto", **pinned: Any) -> Any:
    """Return the callback as Ray makes it of a Serve config."""
    config = SimpleNamespace(
        engine_kwargs={"load_format": load_format},
        get_engine_config=lambda: SimpleNamespace(actual_hf_model_id=str(folder)),
    )
    context = {"placement_group": replica, "runtime_env": {}}
    return load_class(WEIGHTS_CHECK)(llm_config=config, ctx_kwargs=context, **pinned)


async def test_the_files_of_the_rollout_pass(folder: Path, replica: Any) -> None:
    seen = fingerprint(LocalFiles(folder))
    found = check(folder, replica, digest=seen.digest, files=seen.files)
    await found.run_callback("on_after_node_init")
    await check(folder, replica).run_callback("on_after_node_init")


async def test_others_end_the_replica_in_words_that_the_status_finds(
    folder: Path, replica: Any
) -> None:
    seen = fingerprint(LocalFiles(folder))
    (folder / "config.json").write_text('{"another": "model"}')
    found = check(folder, replica, digest=seen.digest, files=seen.files)
    with pytest.raises(Exception) as caught:
        await found.run_callback("on_after_node_init")
    words = engine_words("\n".join(traceback_of(caught.value)))
    assert words.startswith(f"WeightsError: the weights in {folder} (seen by ")
    assert "the files are not those of the rollout: changed config.json." in words


async def test_a_bucket_of_which_nothing_came_is_not_looked_for_on_the_hub(
    folder: Path, replica: Any
) -> None:
    # Ray goes on with the model's served name then
    with pytest.raises(Exception, match=r"weights in tiny \(seen by .* cannot be read: tiny: No"):
        await check(Path("tiny"), replica).run_callback("on_after_node_init")


async def test_ray_mirrors_what_lies_in_no_folder_and_nothing_else(
    folder: Path, replica: Any
) -> None:
    found = {name: check(Path(name), replica) for name in (str(folder), "meta-llama/Llama-3.1-8B")}
    for it in found.values():
        await it.run_callback("on_before_node_init")
    assert [it.ctx.run_init_node for it in found.values()] == [False, True]


async def test_what_is_streamed_lies_on_no_node(replica: Any) -> None:
    found = check(Path("s3://bucket/tiny"), replica, "runai_streamer", digest="sha256:0")
    await found.run_callback("on_after_node_init")


def traceback_of(error: BaseException) -> list[str]:
    import traceback

    return "".join(traceback.format_exception(error)).splitlines()
