"""Each policy in each scenario, run once and kept: what was run before is not run again."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.autoscaling import clairvoyant, faults, reactive
from benchmarks.autoscaling.fleet import Outcome, Policy, Setting, run
from benchmarks.autoscaling.ours import Freehold
from benchmarks.autoscaling.rivals import RIVALS
from benchmarks.autoscaling.scenarios import SCENARIOS, Part
from benchmarks.autoscaling.traffic import Requests

ROOT = Path(__file__).resolve().parents[2]
OURS, CLAIRVOYANT, LIMIT = "Freehold", "clairvoyant", "reactive limit"
# What every run depends on, and what ours does besides.
_CODE, _OUR_CODE = "benchmarks/autoscaling", "operator/freehold/serving/autoscaling"
_TELLS_ONLY = "report.py"
_NOON = 43_200.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A policy with a target, in a scenario of a part, drawn with a seed, where something fails."""

    policy: str
    target: float | None
    scenario: str
    part: Part
    seed: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a cell gave.

    Attributes:
        attainment: Share of requests with their first token in time.
        gpu_hours: Of all replicas.
        starts: Of replicas.
        minutes: Replicas wanted, there and ready, and requests in flight; one for each minute.
        note: What else is to be said.
    """

    attainment: float
    gpu_hours: float
    starts: int
    minutes: list[list[int]]
    note: str = ""


def results(cells: Iterable[Cell], cache: Path, processes: int) -> Iterator[tuple[Cell, Result]]:
    """Return each cell with its result, as they come."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = {}
    with ProcessPoolExecutor(processes) as pool:
        for cell in cells:
            file = cache / f"{_key(cell)}.json"
            if file.exists():
                yield cell, Result(**json.loads(file.read_text(encoding="utf-8")))
            else:
                missing[pool.submit(result, cell)] = cell, file
        for done in as_completed(missing):
            cell, file = missing[done]
            found = done.result()
            file.write_text(json.dumps(asdict(found)), encoding="utf-8")
            yield cell, found


def result(cell: Cell) -> Result:
    """Run a cell."""
    scenario = next(it for it in SCENARIOS if it.name == cell.scenario)
    requests = scenario.requests(cell.part, cell.seed)
    setting = scenario.setting(requests)
    if cell.policy == CLAIRVOYANT:
        best = clairvoyant.best(requests, setting, cell.seed)
        note = f"windows of {best.window:g} s, utilisation {best.utilisation:.2f}"
        return _result(best.outcome, note)
    if cell.policy == LIMIT:
        return Result(reactive.limit(requests, setting, cell.seed), 0.0, 0, [])
    at = min(_NOON, float(requests.arrival[-1]) / 2)
    policy = _policy(cell, setting, requests, at)
    return _result(run(requests, setting, policy, cell.seed, faults.fault(cell.fault, at)))


def _policy(cell: Cell, setting: Setting, requests: Requests, at: float) -> Policy:
    if cell.policy == OURS:
        ours = Freehold(setting, faults.prior(cell.fault))
        return faults.Deaf(ours, at) if cell.fault == faults.LOST else ours
    rival = next(it for it in RIVALS if it.name == cell.policy)
    target = rival.default if cell.target is None else cell.target
    return rival.make(target, setting, requests)


def _result(outcome: Outcome, note: str = "") -> Result:
    course = outcome.course
    each = max(1, round(60 / (course.time[1] - course.time[0])))
    series = (course.wanted, course.there, course.ready, course.in_flight)
    minutes = [list(it[::each]) for it in series]
    return Result(outcome.attainment, outcome.gpu_hours, outcome.starts, minutes, note)


def _key(cell: Cell) -> str:
    code = [_digest(_CODE), _digest(_OUR_CODE) if cell.policy == OURS else ""]
    text = json.dumps([asdict(cell), code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@functools.cache
def _digest(folder: str) -> str:
    """Return a digest of the code in a folder."""
    found = hashlib.sha256()
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.name != _TELLS_ONLY:
            found.update(path.read_bytes())
    return found.hexdigest()
