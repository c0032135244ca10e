"""What became of the objects of a namespace, change by change."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.control_plane.pinned import tool

Step = dict[str, str]


class Recording:
    """Keeps each state of one object."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def steps(self, start: int = 0) -> list[Step]:
        """Return the conditions as ``STATUS/REASON``, one entry for each change of them.

        Args:
            start: How many of the first states are left out.
        """
        found: list[Step] = []
        for state in self.states[start:]:
            step = conditions(state)
            if step and (not found or found[-1] != step):
                found.append(step)
        return found

    def has(self, state: dict[str, Any]) -> bool:
        """Tell whether a state has been recorded; the watch lags behind who asks."""
        version = state["metadata"]["resourceVersion"]
        return any(it["metadata"]["resourceVersion"] == version for it in self.states[::-1])

    def ready(self, start: int = 0) -> list[str]:
        """Return the values of Ready, one for each change of it."""
        found: list[str] = []
        for step in self.steps(start):
            value = step["Ready"].split("/")[0]
            if not found or found[-1] != value:
                found.append(value)
        return found


def conditions(state: dict[str, Any]) -> Step:
    """Return an object's conditions as ``STATUS/REASON``."""
    found = (state.get("status") or {}).get("conditions") or []
    return {item["type"]: f"{item['status']}/{item['reason']}" for item in found}


@contextmanager
def recording(cluster: Cluster, namespace: str, kind: str = "rayservices") -> Iterator[Recording]:
    """Record the objects of a kind in a namespace; each as it is first, then as it becomes."""
    command = [str(tool("kubectl")), "--namespace", namespace, "get", kind]
    watch = [*command, "--watch", "--output=json"]
    with subprocess.Popen(
        watch, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        found = Recording()
        thread = threading.Thread(target=_read, args=(process, found), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            process.terminate()
            thread.join()


def _read(process: subprocess.Popen[str], found: Recording) -> None:
    assert process.stdout is not None
    text: list[str] = []
    for line in process.stdout:
        text.append(line)
        if line == "}\n":
            found.states.append(json.loads("".join(text)))
            text.clear()
