"""What it costs to bring a RayService from what it is to what it should be.

KubeRay hands the Serve config to the running cluster, and Ray takes the scaling settings of a
deployment in place but restarts every replica when an application's code or arguments change.
Of the cluster's spec KubeRay makes a hash, and another hash is another cluster
(``GenerateHashWithoutReplicasAndWorkersToDelete`` in KubeRay 1.7).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from freehold.render.difference import MISSING, Difference, differences, with_false
from freehold.render.serve_config import from_yaml

Kind = Literal["Nothing", "InPlace", "NewReplicas", "NewCluster"]
_COSTS: tuple[Kind, ...] = ("Nothing", "InPlace", "NewReplicas", "NewCluster")

_CLUSTER = ("spec", "rayClusterConfig")
_SERVE = ("spec", "serveConfigV2")
# Not in KubeRay's hash, of a worker group and of a pod template.
_UNHASHED_OF_GROUP = frozenset({("replicas",), ("minReplicas",), ("maxReplicas",)})
_WORKERS_TO_DELETE = ("scaleStrategy", "workersToDelete")
_UNHASHED_OF_TEMPLATE = frozenset({"tolerations", "schedulingGates"})
# Fields of a deployment whose change leaves its replicas running (Ray 2.60,
# ``serve/_private/config.py: DeploymentConfig``, all but HeavyWeight and options of the actor).
_IN_PLACE = frozenset(
    {
        "autoscaling_config",
        "backpressure_config",
        "graceful_shutdown_timeout_s",
        "graceful_shutdown_wait_loop_s",
        "health_check_period_s",
        "health_check_timeout_s",
        "logging_config",
        "max_ongoing_requests",
        "max_queued_requests",
        "max_surge_percent",
        "num_replicas",
        "rolling_update_percentage",
        "user_config",
    }
)
_LATER = "taken up by the next cluster"


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of a RayService costs.

    Attributes:
        kind: Nothing; InPlace: replicas run on; NewReplicas: every replica starts anew;
            NewCluster: another cluster, for which as many accelerators are needed again, or
            nothing answers until it is up where the old one must go first.
        reasons: A sentence for each field with its old and new value, the costliest first.
    """

    kind: Kind
    reasons: tuple[str, ...] = ()


def change(desired: Mapping[str, Any], live: Mapping[str, Any], *, exact: bool = False) -> Change:
    """Return what becomes of a RayService when another is applied over it.

    Args:
        desired: The RayService that is applied.
        live: The one that is there.
        exact: Whether ``live`` is all our own, as in an older revision; then what it has and the
            other has not is a change, too, instead of an addition of somebody else's.
    """
    found = [*_judged(desired, live, exact)]
    found.sort(key=lambda item: -_COSTS.index(item[0]))
    if not found:
        return Change("Nothing")
    return Change(found[0][0], tuple(sentence for _, sentence in found))


def owned_differs(desired: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """Return the fields that are not as we would apply them; when there are none, do not.

    A field that we applied once and no longer do is not found by this. Between two revisions of a
    model such fields differ, and so does the annotation with the revision's name.
    """
    return [item.field for item in differences(with_false(desired, live), live)]


def ray_cluster_bounds_patch(
    groups: Sequence[Mapping[str, Any]],
    live: Mapping[str, Any],
    *,
    surge: int = 0,
    standing: Mapping[str, int] | None = None,
) -> list[dict[str, Any]] | None:
    """Return the JSON patch that brings replica bounds to a live RayCluster; None for no change.

    KubeRay gives a RayService's bounds to new clusters only, and Ray's autoscaler obeys the
    cluster's. The list of groups is one value to server-side apply, and holds what the autoscaler
    owns (``replicas``, ``workersToDelete``), so single fields are replaced; each group's name is
    tested first, since the list may have changed since it was read.

    Args:
        groups: ``workerGroupSpecs`` as they should be.
        live: The RayCluster as it was read.
        surge: Replicas that may stand beside all others while they are replaced.
        standing: Replicas whose pods stand, by group. The most is never less: Ray's autoscaler
            takes away at once what is beyond, at work or not
            (``ray/autoscaler/v2/scheduler.py: _enforce_max_workers_per_type`` in Ray 2.60), while
            Serve lets a replica end its answers first.
    """
    by_name, there = {group["groupName"]: group for group in groups}, standing or {}
    patch: list[dict[str, Any]] = []
    for i, group in enumerate(live["spec"].get("workerGroupSpecs") or ()):
        name = group["groupName"]
        meant = by_name.get(name)
        if meant is None:
            continue
        most = max(meant["maxReplicas"] + surge, there.get(name, 0))
        wanted = {"minReplicas": meant["minReplicas"], "maxReplicas": most}
        path = f"/spec/workerGroupSpecs/{i}"
        changed = [
            {"op": "add", "path": f"{path}/{bound}", "value": value}
            for bound, value in wanted.items()
            if group.get(bound) != value
        ]
        if changed:
            test = {"op": "test", "path": f"{path}/groupName", "value": name}
            patch += [test, *changed]
    return patch or None


def _judged(
    desired: Mapping[str, Any], live: Mapping[str, Any], exact: bool
) -> Iterator[tuple[Kind, str]]:
    """Yield the kind and the sentence of every difference."""
    appended = _appended(desired, live)
    pair = with_false(desired, live), with_false(live, desired)
    for item in differences(*pair, exact=exact):
        if item.path == _SERVE:
            for inner in differences(_config(item.new), _config(item.old), exact=True):
                yield _of_serve(inner)
        elif item.path[:2] == _CLUSTER:
            yield _of_cluster(item, appended)
        elif item.path[0] == "spec":
            yield "InPlace", str(item)


def _config(text: Any) -> Any:
    """Return a Serve config; an empty one for what somebody wrote by hand and is none."""
    try:
        config = from_yaml(text) if isinstance(text, str) else None
    except yaml.YAMLError:
        config = None
    return config if isinstance(config, dict) else {}


def _of_serve(item: Difference) -> tuple[Kind, str]:
    within = Difference((*_SERVE, *item.path), item.old, item.new)
    match item.path:
        case ("applications",) | ("applications", _):
            return "InPlace", _of_application(within)
        case ("applications", _, "route_prefix"):
            return "InPlace", str(within)
        case ("applications", _, "deployments", _, "autoscaling_config", "policy", *_):
            return "NewReplicas", str(within)
        case ("applications", _, "deployments", _, field, *_) if field in _IN_PLACE:
            return "InPlace", str(within)
        case ("applications", *_):
            return "NewReplicas", str(within)
        case _:
            return "InPlace", f"{within} ({_LATER})"


def _of_application(item: Difference) -> str:
    """Return the sentence of a whole application: with no replicas there is none."""
    if item.old is MISSING:
        return f"{item.field} is added"
    return f"{item.field} is taken away" if item.new is MISSING else str(item)


def _of_cluster(item: Difference, appended: Set[str]) -> tuple[Kind, str]:
    match item.path[2:]:
        case ("workerGroupSpecs", name) if name in appended:
            return "InPlace", f"{item.field} is added"
        case ("workerGroupSpecs", _, *field) if _is_unhashed(tuple(field)):
            return "InPlace", str(item)
        case (_, *field) if _is_for_new_pods(field):
            return "InPlace", f"{item} ({_LATER})"
        case _:
            return "NewCluster", str(item)


def _appended(desired: Mapping[str, Any], live: Mapping[str, Any]) -> Set[str]:
    """Return the groups, as paths name them, that come after all those that are there."""
    names, there = ([g["groupName"] for g in _groups(it)] for it in (desired, live))
    new = names[len(there) :] if names[: len(there)] == there else []
    return {f"[{name}]" for name in new}


def _groups(service: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return service["spec"]["rayClusterConfig"].get("workerGroupSpecs") or ()


def _is_unhashed(field: tuple[str, ...]) -> bool:
    return field in _UNHASHED_OF_GROUP or field[:2] == _WORKERS_TO_DELETE


def _is_for_new_pods(field: Sequence[str]) -> bool:
    """Tell tolerations and the like: KubeRay hands them to no cluster that is there."""
    names = [name for name in field if not name.startswith("[")]
    return names[:2] == ["template", "spec"] and not _UNHASHED_OF_TEMPLATE.isdisjoint(names[2:3])
