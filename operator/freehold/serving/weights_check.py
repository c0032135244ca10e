"""Looks at a model's files on every node of a replica before its engine starts.

Ray mirrors a bucket before that, and goes on when files of it could not be had; of a bucket without
config.json it goes on with the model's name, which the engine would look for on the hub.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.llm._internal.common.utils.download_utils import STREAMING_LOAD_FORMATS
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from freehold.serving.weights import LocalFiles, WeightsError, require

_Callback: Any = CallbackBase


def fault_of(folder: str, digest: str | None, known: Mapping[str, str] | None) -> str | None:
    """Return what is wrong with the files in a folder of this machine, in words, or None."""
    place = f"the weights in {folder} (seen by {socket.gethostname()})"
    try:
        require(LocalFiles(Path(folder)), digest, known)
    except WeightsError as error:
        return f"{place}: {error}."
    except OSError as error:
        why = error.strerror or type(error).__name__
        name = f"{error.filename}: " if error.filename else ""
        return f"{place} cannot be read: {name}{why}."
    return None


class WeightsCheck(_Callback):  # type: ignore[misc]
    """Ends the start of a replica whose files are cut off, or others than those of the rollout."""

    async def on_after_node_init(self) -> None:
        """Look at the files on each node of the replica.

        Raises:
            WeightsError: They are not to be served.
        """
        # streamed, they never lie on a node
        if self.llm_config.engine_kwargs.get("load_format") in STREAMING_LOAD_FORMATS:
            return
        folder = self.llm_config.get_engine_config().actual_hf_model_id
        expected = (self.kwargs.get("digest"), self.kwargs.get("files"))
        look = ray.remote(fault_of)
        table = ray.util.placement_group_table(self.ctx.placement_group)
        faults = await asyncio.gather(
            *(
                look.options(
                    num_cpus=0,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
                    runtime_env=self.ctx.runtime_env,
                ).remote(folder, *expected)
                for node in sorted(set(table["bundles_to_node_id"].values()))
            )
        )
        for fault in faults:
            if fault is not None:
                raise WeightsError(fault)
