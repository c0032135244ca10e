"""``python -m tests.installation up|down|status|hold cluster|node``: one for development."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.control_plane.plane import ControlPlane
from tests.installation.background import Background
from tests.installation.everything import Tell, everything
from tests.node.installation import node_with_kuberay

USAGE = "usage: python -m tests.installation up|down|status cluster|node\n"
NEXT = {
    "cluster": "# to look around: kubectl apply -f examples/ && kubectl get fmd --watch\n",
    "node": "# next: install Freehold with Helm and tests/node/values.yaml, as README says\n",
}


@contextmanager
def _cluster(tell: Tell) -> Iterator[ControlPlane]:
    with ControlPlane() as plane, everything(plane, tell):
        yield plane


@contextmanager
def _node(tell: Tell) -> Iterator[ControlPlane]:
    with node_with_kuberay(tell) as found:
        yield found.node.plane


KINDS = {it.kind: it for it in (Background("cluster", _cluster), Background("node", _node))}


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    command, *kinds = arguments or [""]
    chosen = KINDS.get(kinds[0]) if len(kinds) == 1 else None
    if chosen is None:
        sys.stderr.write(USAGE)
        return 2
    match command:
        case "up":
            _up(chosen)
        case "down":
            kind, done = chosen.kind, chosen.down()
            _show(f"the {kind} is down\n" if done else f"no {kind} ran\n")
        case "status":
            status = chosen.running()
            _show(f"{status.exports}\n" if status else f"no {chosen.kind} runs\n")
            return 0 if status else 1
        case "hold":
            chosen.hold()
        case _:
            sys.stderr.write(USAGE)
            return 2
    return 0


def _up(chosen: Background) -> None:
    found = chosen.up(_show)
    kind = chosen.kind
    _show(f"# logs: {found.logs}\n{NEXT[kind]}# to take it down: make {kind}-down\n")
    _show(f"# to use it, paste this line:\n{found.exports}\n")


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeError, TimeoutError) as error:
        sys.exit(str(error))
