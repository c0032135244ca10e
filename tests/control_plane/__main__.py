"""``python -m tests.control_plane up|down|status|hold``: a cluster for development."""

from __future__ import annotations

import sys

from tests.control_plane import development


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    match arguments:
        case ["up"]:
            found = development.up()
            sys.stdout.write(f"# logs: {found.logs}\n{found.exports}\n")
        case ["down"]:
            sys.stdout.write("the cluster is down\n" if development.down() else "no cluster ran\n")
        case ["status"]:
            status = development.running()
            sys.stdout.write(f"{status.exports}\n" if status else "no cluster runs\n")
            return 0 if status else 1
        case ["hold"]:
            development.hold()
        case _:
            sys.stderr.write("usage: python -m tests.control_plane up|down|status\n")
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeError, TimeoutError) as error:
        sys.exit(str(error))
