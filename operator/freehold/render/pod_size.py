"""What the pods of a model ask of their nodes beside accelerators.

The figures are requests, not limits: reading weights fills the page cache, which is given back
when others need it, and a head or a worker that is killed takes requests with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from freehold.api.scalars import GIB, MIB
from freehold.plan.plan import Plan

# vLLM runs an API server and an engine core beside one process for each device, and asks for as
# many physical cores ("CPU Resources for GPU Deployments" in its optimization guide). Ray's
# replica actor takes one CPU of these; the engine's workers take none that Ray counts.
_ENGINE_CORES = 2
# Ray's daemons, HAProxy, the replica's and the engine core's Python; then a worker's context,
# libraries and staging buffers. Estimates, made so that a pod of one device stays within the
# smallest node of the catalogue (4 cores, 16 GiB) and of eight within the smallest of eight.
_BASE_MEMORY = 4 * GIB
_DEVICE_MEMORY = 6 * GIB
# Ring buffers of the engine (160 MiB each), NCCL's segments, Ray's object store. Only pages that
# are written count.
_BASE_SHARED = 2 * GIB
_DEVICE_SHARED = GIB
# GCS, dashboard, Serve controller, HAProxy, and the task that imports the engine's package to
# build the application; nothing else runs there.
_HEAD_CORES = 2
_HEAD_MEMORY = 8 * GIB


@dataclass(frozen=True, slots=True)
class PodSize:
    """Cores, memory and shared memory of one pod.

    Attributes:
        cores: Whole cores; Ray may place as many CPUs.
        memory: Kubernetes quantity.
        shared_memory: Kubernetes quantity, the most that /dev/shm may hold; "" to leave it.
    """

    cores: int
    memory: str
    shared_memory: str = ""


def head_size() -> PodSize:
    """Return the size of the head."""
    return PodSize(_HEAD_CORES, _amount(_HEAD_MEMORY))


def worker_size(plan: Plan) -> PodSize:
    """Return the size of a pod with its share of a replica's devices.

    A worker without an accelerator computes on the pod's own cores and keeps weights and KV cache
    in the pod's own memory; both follow from the plan.
    """
    devices = plan.layout.devices_per_node
    memory = plan.memory
    held = memory.weights + memory.overhead + memory.kv_cache
    each = round(held) if plan.accelerator.vendor == "cpu" else _DEVICE_MEMORY
    return PodSize(
        cores=_ENGINE_CORES + devices * max(plan.accelerator.cores, 1),
        memory=_amount(_BASE_MEMORY + devices * each),
        shared_memory=_amount(_BASE_SHARED + devices * _DEVICE_SHARED),
    )


def _amount(size: int) -> str:
    """Return bytes in whole MiB, rounded up, in the form that Kubernetes itself writes.

    KubeRay writes a RayService back with its finalizer; in another form than this one the fields
    would then be its own.
    """
    mebibytes = -(-size // MIB)
    return f"{mebibytes}Mi" if mebibytes % 1024 else f"{mebibytes // 1024}Gi"
