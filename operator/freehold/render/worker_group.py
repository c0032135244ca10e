"""The worker group of a plan: a pod for each node of a replica, as many groups as replicas."""

from __future__ import annotations

import json
from typing import Any

from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.plan import Plan
from freehold.render.api_keys import key_secret_name, with_api_keys
from freehold.render.node_choice import NodeChoice
from freehold.render.pod_form import in_go_form
from freehold.render.pod_size import worker_size
from freehold.render.pod_template import WORKER_CONTAINER, worker_template
from freehold.render.scaling import replica_bounds
from freehold.render.serving_config_map import with_serving_code

# Devices that Ray's autoscaler does not read off the pod's limits: a group at zero must say what
# a pod of it would bring (``ray/autoscaler/_private/kuberay/autoscaling_config.py``).
_UNSEEN = {"intel": "HPU", "aws": "neuron_cores"}


def worker_group(
    model: ModelDeployment,
    plan: Plan,
    image: str,
    nodes: NodeChoice,
    config_map: str,
    token_secret: str,
    *,
    outlives_head: bool = False,
) -> dict[str, Any]:
    """Return the worker group that bears the candidate's name.

    ``replicas``, ``minReplicas`` and ``maxReplicas`` count replicas of the model, each of them
    ``numOfHosts`` pods that come and go together.
    """
    least, most = replica_bounds(model.spec)
    template = worker_template(model, plan, image, nodes, outlives_head=outlives_head)
    template = with_serving_code(template, WORKER_CONTAINER, config_map)
    template = with_api_keys(template, WORKER_CONTAINER, key_secret_name(model), token_secret)
    return {
        "groupName": plan.candidate,
        "replicas": least,
        "minReplicas": least,
        "maxReplicas": most,
        "numOfHosts": plan.layout.nodes,
        "rayStartParams": _start_parameters(plan),
        # KubeRay writes this empty field itself; written here, applying has nothing to undo
        "scaleStrategy": {},
        "template": in_go_form(template),
    }


def _start_parameters(plan: Plan) -> dict[str, str]:
    """Return the parameters of ``ray start``.

    The CPUs are written out since Serve puts the replica's own on top of its first bundle: they
    must not shrink when an overlay asks for less of a node.
    """
    parameters = {"num-cpus": str(worker_size(plan).cores)}
    name = _UNSEEN.get(plan.accelerator.vendor)
    if name is not None:
        # KubeRay pastes it into a shell's command line, and itself reads what is in the quotes
        parameters["resources"] = f"'{json.dumps({name: plan.layout.devices_per_node})}'"
    return parameters
