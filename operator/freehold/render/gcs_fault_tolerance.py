"""What lets a Ray cluster outlive its head: Ray's state in a Redis, and a way in beside the head.

A head without it takes all that Ray knows along, and every engine with it. With it the workers'
raylets wait for the next head (KubeRay gives them 600 s), engines run on, and clients are led to
the workers' own proxies beside the head's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FIELD = "gcsFaultToleranceOptions"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """An entry of a Secret in the namespace of whoever refers to it.

    Attributes:
        name: The Secret's name.
        key: The entry's.
    """

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class GcsFaultTolerance:
    """Where the Ray clusters of an installation keep their state.

    Attributes:
        redis_address: ``HOST:PORT``, as the heads reach it.
        password: The entry with its password, which each namespace with models has; None for a
            Redis that asks for none.
    """

    redis_address: str
    password: SecretKey | None = None


def gcs_options(tolerance: GcsFaultTolerance | None) -> dict[str, Any]:
    """Return the fields of a RayCluster's spec that name the Redis; none for None.

    In the form in which KubeRay writes them. Without ``externalStorageNamespace``: KubeRay takes
    the cluster's uid, while two clusters of a rollout would share the state of one name.
    """
    if tolerance is None:
        return {}
    options: dict[str, Any] = {"redisAddress": tolerance.redis_address}
    if tolerance.password is not None:
        secret = {"name": tolerance.password.name, "key": tolerance.password.key}
        options["redisPassword"] = {"valueFrom": {"secretKeyRef": secret}}
    return {_FIELD: options}


def workers_answer(ray_cluster: Mapping[str, Any]) -> bool:
    """Tell whether clients are to be led to a cluster's workers, too.

    Of a replica over several nodes only the first has a proxy, and its other pods are ready all
    the same: clients are led to the head of such a cluster alone.

    Args:
        ray_cluster: The spec of a RayCluster, as a live one or a RayService has it.
    """
    groups = ray_cluster.get("workerGroupSpecs") or ()
    return _FIELD in ray_cluster and all(it.get("numOfHosts", 1) == 1 for it in groups)
