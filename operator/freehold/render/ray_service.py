"""The RayService of a model, for KubeRay 1.7.

Any difference in ``rayClusterConfig`` but the groups' replica counts makes KubeRay build a second
cluster, with as many accelerators again. So nothing here depends on anything but the arguments,
and every default that matters is written out.
"""

from __future__ import annotations

from typing import Any

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import child_labels
from freehold.api.scalars import IDLE_WORKER_SECONDS
from freehold.plan.plan import Plan
from freehold.render.engine_image import RAY_VERSION, engine_image
from freehold.render.gcs_fault_tolerance import GcsFaultTolerance, gcs_options
from freehold.render.node_choice import node_choice
from freehold.render.pod_form import in_go_form
from freehold.render.pod_template import HEAD_CONTAINER, head_template
from freehold.render.serving_config_map import with_serving_code
from freehold.render.worker_group import worker_group


def ray_service(
    model: ModelDeployment,
    plan: Plan,
    serve_config_text: str,
    namespace: str,
    config_map: str,
    token_secret: str,
    tolerance: GcsFaultTolerance | None = None,
) -> dict[str, Any] | Fault:
    """Return the RayService of one model, or what keeps it from being rendered.

    Args:
        model: The model.
        plan: Its plan.
        serve_config_text: Its Serve config, as YAML.
        namespace: Namespace of the object.
        config_map: Name of the ConfigMap with our code.
        token_secret: Name of the Secret with the token of the model's clusters.
        tolerance: Where Ray keeps its state; None for in the head alone.

    Returns:
        The object as plain data; ``NoEngineImage`` or ``NoSpotNodes`` for a class that lacks one.
    """
    image, nodes = engine_image(model, plan), node_choice(plan)
    if isinstance(image, Fault):
        return image
    if isinstance(nodes, Fault):
        return nodes
    workers = worker_group(
        model,
        plan,
        image,
        nodes,
        config_map,
        token_secret,
        outlives_head=tolerance is not None,
    )
    cluster = _cluster(token_secret, tolerance) | {
        "headGroupSpec": _head_group(
            model,
            image,
            config_map,
            # no proxy stands beside the head's where a replica spans nodes
            outlived=tolerance is not None and plan.layout.nodes == 1,
        ),
        "workerGroupSpecs": [workers],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": _metadata(model, namespace),
        "spec": _spec(model, serve_config_text, cluster),
    }


def _metadata(model: ModelDeployment, namespace: str) -> dict[str, Any]:
    """Return metadata without the user's labels: a GitOps engine prunes what bears its own."""
    return {"name": model.name, "namespace": namespace, "labels": child_labels(model.name)}


def _spec(model: ModelDeployment, serve_config_text: str, cluster: dict[str, Any]) -> Any:
    """Return the spec.

    Without ``excludeHeadPodFromServeSvc``, which is false and KubeRay leaves out then: the head's
    proxy is the one that answers while there are no workers, and so wakes them.
    """
    return {
        "upgradeStrategy": {"type": _upgrade(model)},
        "serveConfigV2": serve_config_text,
        "rayClusterConfig": cluster,
    }


def _upgrade(model: ModelDeployment) -> str:
    """Return what KubeRay does when the cluster's spec changes.

    KubeRay knows no way that frees the hardware first. With None it leaves the old cluster as it
    is and builds none, so that whoever recreates can delete the old one and have the only new one.
    """
    return "None" if model.spec.recreates else "NewCluster"


def _cluster(token_secret: str, tolerance: GcsFaultTolerance | None) -> dict[str, Any]:
    return {
        "rayVersion": RAY_VERSION,
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": IDLE_WORKER_SECONDS},
        # without a name every cluster would have a token of its own
        "authOptions": {"mode": "token", "secretName": token_secret},
        **gcs_options(tolerance),
    }


def _head_group(
    model: ModelDeployment, image: str, config_map: str, *, outlived: bool
) -> dict[str, Any]:
    """Return the head, on which nothing of the model runs: it would hold a device's node."""
    template = head_template(model, image, outlived=outlived)
    return {
        "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"},
        "template": in_go_form(with_serving_code(template, HEAD_CONTAINER, config_map)),
    }
