"""Runs the fake of Ray until it is told to stop: ``python -m tests.fake_ray --port 8123``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from tests.fake_ray.running import served


async def _run(port: int, seconds: float, kubeconfig: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with served(port, seconds, kubeconfig) as url:
        sys.stdout.write(f"a fake of Ray for tests answers at {url}; use it as HTTP_PROXY\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_ray", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="from DEPLOYING to RUNNING (default: 0.2)"
    )
    parser.add_argument(
        "--kubeconfig", type=Path, help="look Services up there; without it, go by their names"
    )
    given = parser.parse_args()
    asyncio.run(_run(given.port, given.seconds, given.kubeconfig))


if __name__ == "__main__":
    main()
