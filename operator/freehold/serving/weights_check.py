"""Looks at a model's files on every node of a replica before its engine starts.

Ray mirrors a bucket before that, and goes on when files of it could not be had; of a bucket without
config.json it goes on with the model's name, which the engine would look for on the hub.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import ray
from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.llm._internal.common.utils.download_utils import STREAMING_LOAD_FORMATS
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from freehold.serving.weights import WeightsError, fault_of

_Callback: Any = CallbackBase


class WeightsCheck(_Callback):  # type: ignore[misc]
    """Ends the start of a replica whose files are cut off, or others than those of the rollout."""

    async def on_before_node_init(self) -> None:
        """Have Ray mirror nothing that lies in a folder of the node already.

        It would find that out in a process of its own, which imports the engine for it: a sixth of
        the time in which a small model starts.
        """
        if Path(self._folder).is_absolute():
            self.ctx.run_init_node = False

    async def on_after_node_init(self) -> None:
        """Look at the files on each node of the replica.

        Raises:
            WeightsError: They are not to be served.
        """
        # streamed, they never lie on a node
        if self.llm_config.engine_kwargs.get("load_format") in STREAMING_LOAD_FORMATS:
            return
        table = ray.util.placement_group_table(self.ctx.placement_group)
        nodes = sorted(set(table["bundles_to_node_id"].values()))
        for fault in await asyncio.gather(*map(self._fault_on, nodes)):
            if fault is not None:
                raise WeightsError(fault)

    def _fault_on(self, node: str) -> Awaitable[str | None]:
        """Look on one node: here without another process, which takes its time to come."""
        asked = (self._folder, self.kwargs.get("digest"), self.kwargs.get("files"))
        if node == ray.get_runtime_context().get_node_id():
            return asyncio.to_thread(fault_of, *asked)
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        look: Any = ray.remote(fault_of).options(
            num_cpus=0, scheduling_strategy=there, runtime_env=self.ctx.runtime_env
        )
        return look.remote(*asked)  # type: ignore[no-any-return]

    @property
    def _folder(self) -> str:
        return str(self.llm_config.get_engine_config().actual_hf_model_id)
