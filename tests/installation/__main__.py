"""``python -m tests.installation up|down|status|hold``: a cluster for development."""

from __future__ import annotations

import sys

from tests.installation import background

NEXT = """\
# to look around: kubectl apply -f examples/ && kubectl get fmd --watch
# to take it down: make cluster-down
# to use it, paste this line:
"""


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    match arguments:
        case ["up"]:
            found = background.up(_show)
            _show(f"# logs: {found.logs}\n{NEXT}{found.exports}\n")
        case ["down"]:
            _show("the cluster is down\n" if background.down() else "no cluster ran\n")
        case ["status"]:
            status = background.running()
            _show(f"{status.exports}\n" if status else "no cluster runs\n")
            return 0 if status else 1
        case ["hold"]:
            background.hold()
        case _:
            sys.stderr.write("usage: python -m tests.installation up|down|status\n")
            return 2
    return 0


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeError, TimeoutError) as error:
        sys.exit(str(error))
