"""``freehold run`` with replicas that follow the load in seconds instead of minutes.

    python paced_run.py PORT FILE...

The product's own pace keeps a replica for minutes, since a cold start costs minutes; a test that
waited for it would take as long. Everything else is the same code.
"""

from __future__ import annotations

import sys
from pathlib import Path

from freehold.cli.run import RunOptions, file_stamps, on_own_ray, stopping_on_signals
from freehold.local.workload import Choices, load
from freehold.render.scaling import Pace

PACE = Pace(look_back=3.0, upscale_delay=2.0, downscale_delay=10.0, to_zero_delay=10.0)


def main() -> None:
    files = tuple(Path(name) for name in sys.argv[2:])
    choices = Choices(vendors=("cpu",), offline=True, pace=PACE)
    options = RunOptions(files, file_stamps(files), "127.0.0.1", int(sys.argv[1]), None, choices)
    with stopping_on_signals() as stop:
        on_own_ray(options, load(files, choices), stop)


if __name__ == "__main__":
    main()
