"""Running, queued and generated tokens of each model, from Ray's Prometheus endpoint."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

RUNNING = "ray_vllm_num_requests_running"
WAITING = "ray_vllm_num_requests_waiting"
GENERATED = "ray_vllm_generation_tokens_total"
_NAMES = (f"{RUNNING}{{", f"{WAITING}{{", f"{GENERATED}{{")


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """What the engines of one model say.

    Attributes:
        running: Requests in work.
        waiting: Requests waiting inside the engines.
        generated: Tokens generated since the engines started.
    """

    running: float = 0.0
    waiting: float = 0.0
    generated: float = 0.0


def read_metrics(address: str) -> dict[str, ModelLoad]:
    """Return the load by served model name; empty when the endpoint does not tell it yet."""
    try:
        answer = httpx.get(f"{address}/metrics", timeout=2.0, trust_env=False)
        answer.raise_for_status()
        return parse_metrics(answer.text)
    except (httpx.HTTPError, ValueError):
        return {}


def parse_metrics(text: str) -> dict[str, ModelLoad]:
    """Sum the engines' gauges by model name.

    Raises:
        ValueError: When the text is not in Prometheus's format.
    """
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    # Ray tells of itself in thousands of lines; reading them all would take a tenth of a core
    ours = "\n".join(line for line in text.splitlines() if line.startswith(_NAMES)) + "\n"
    for family in text_string_to_metric_families(ours):
        for sample in family.samples:
            sums[sample.labels.get("model_name", "")][sample.name] += sample.value
    return {
        name: ModelLoad(values[RUNNING], values[WAITING], values[GENERATED])
        for name, values in sums.items()
    }
