"""The rules of others, each from its published formula, with its defaults and other targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.autoscaling.clairvoyant import work
from benchmarks.autoscaling.fleet import Policy, Setting
from benchmarks.autoscaling.rivals.aibrix import AIBrix
from benchmarks.autoscaling.rivals.dynamo import Dynamo
from benchmarks.autoscaling.rivals.knative import Knative
from benchmarks.autoscaling.rivals.kubeai import KubeAI
from benchmarks.autoscaling.rivals.kubernetes import HorizontalPodAutoscaler
from benchmarks.autoscaling.rivals.llm_d import WorkloadVariantAutoscaler
from benchmarks.autoscaling.rivals.ray_serve import RayServe
from benchmarks.autoscaling.rivals.skyserve import SkyServe
from benchmarks.autoscaling.traffic import Requests

_REQUESTS = (2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0)
_SHARES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Rival:
    """A rule by name and version.

    Attributes:
        name: For tables.
        version: Of what it was read from.
        unit: Of its target.
        default: The published one.
        targets: Others that are tried.
        make: The rule with a target, for a setting and the day's requests.
    """

    name: str
    version: str
    unit: str
    default: float
    targets: tuple[float, ...]
    make: Callable[[float, Setting, Requests], Policy]


def _rate_of_a_replica(setting: Setting, requests: Requests) -> float:
    """Return the requests a second of a full replica, for the mean request of the whole day.

    SkyServe asks its users for a rate; this one knows the day and is the best guess there is.
    """
    return float(1.0 / work(requests, setting.hardware).total.mean())


RIVALS = (
    Rival(
        "Ray Serve",
        "2.60.0, its own code",
        "ongoing requests",
        2.0,
        _REQUESTS,
        lambda target, setting, requests: RayServe(target),
    ),
    Rival(
        "HPA",
        "Kubernetes 1.36",
        "requests in flight",
        16.0,
        _REQUESTS,
        lambda target, setting, requests: HorizontalPodAutoscaler(target),
    ),
    Rival(
        "KEDA",
        "2.18, vLLM production-stack's example",
        "waiting requests",
        5.0,
        (0.5, 1.0, 2.0, 5.0, 10.0),
        lambda target, setting, requests: HorizontalPodAutoscaler(target, waiting=True),
    ),
    Rival(
        "Knative",
        "1.20",
        "concurrency",
        100.0,
        _REQUESTS,
        lambda target, setting, requests: Knative(target),
    ),
    Rival(
        "KubeAI",
        "0.23",
        "requests in flight",
        100.0,
        _REQUESTS,
        lambda target, setting, requests: KubeAI(target),
    ),
    Rival(
        "AIBrix",
        "e3e10f9e",
        "share of the KV cache",
        0.5,
        (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
        lambda target, setting, requests: AIBrix(target),
    ),
    Rival(
        "llm-d WVA",
        "0.9 (V2)",
        "factor on thresholds",
        1.0,
        (0.7, 0.85, 1.0, 1.1),
        lambda target, setting, requests: WorkloadVariantAutoscaler(setting.hardware, target),
    ),
    Rival(
        "Dynamo",
        "1.6.1 (throughput, constant)",
        "share of the profiled rate",
        1.0,
        _SHARES,
        lambda target, setting, requests: Dynamo(setting.hardware, target),
    ),
    Rival(
        "SkyServe",
        "0.14.1",
        "share of the day's rate",
        0.65,
        _SHARES,
        lambda target, setting, requests: SkyServe(target * _rate_of_a_replica(setting, requests)),
    ),
)
