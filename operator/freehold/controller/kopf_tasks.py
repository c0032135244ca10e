"""Running kopf's tasks beside ours in one event loop, and ending all of them for sure.

kopf takes a loop for its own: when one of its tasks fails, it cancels whatever runs there and is
none of ours to lose, and waits without end for a task of its own that took no notice. So its tasks
are told from ours by the code that they run, and cancelled until they end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import kopf

_KOPF = str(Path(kopf.__file__).parent)
# Ends last, by itself, and closes the connections then; cancelled again it would leave them open.
_CLEANUP = "startup/cleanup activities"
# How long kopf's tasks have to end after each cancellation.
_PATIENCE_S = (2.0, 1.0, 1.0, 1.0)

_log = logging.getLogger(__name__)


async def run_until_one_ends(roots: Collection[asyncio.Task[Any]], ended: asyncio.Event) -> None:
    """Run what ``kopf.spawn_tasks`` gave until one of them ends; none of kopf's runs afterwards.

    Args:
        roots: The tasks.
        ended: kopf's flag for an end that is wanted; set here in any case.

    Raises:
        Exception: What the task that ended first failed with.
    """
    try:
        done, _ = await asyncio.wait(roots, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.set()
        await _end_all(roots)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _end_all(roots: Collection[asyncio.Task[Any]]) -> None:
    left = {task for task in roots if not task.done()}
    for patience in _PATIENCE_S:
        for task in left:
            task.cancel()
        await _wait(left | _kopfs(), patience)
        left = {task for task in _kopfs() if task.get_name() != _CLEANUP}
    for task in _kopfs():
        task.cancel()
    await _wait(_kopfs(), 1.0)
    if left := _kopfs():
        _log.warning("tasks of kopf's do not end: %s", ", ".join(it.get_name() for it in left))


async def _wait(tasks: Collection[asyncio.Task[Any]], seconds: float) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


def _kopfs() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if _is_kopfs(task)}


def _is_kopfs(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename.startswith(_KOPF)
