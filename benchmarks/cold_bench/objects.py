"""One engine, as it is applied three ways: by Freehold, in a plain RayService, as plain vLLM.

The last two are made of what Freehold renders for the same manifest: weights, engine arguments, the
engine's environment, image and the pods' sizes are its own. Everything that Freehold decides beside
them is left to Ray's, Serve's and KubeRay's defaults.
"""

from __future__ import annotations

from typing import Any

import yaml
from benchmarks.path_bench.flags import flags

Object = dict[str, Any]
PORT = 8000
# What Freehold writes for the engine, and anybody else would; the rest of it is Freehold's.
_OF_THE_ENGINE = (
    *("model_loading_config", "placement_group_config"),
    *("accelerator_config", "runtime_env"),
)
# Names a class of Freehold's, by which a first prompt of four tokens does not end an engine.
_FREEHOLDS_ARGUMENT = "worker_extension_cls"
_FREEHOLDS_VARIABLE = "TORCHDYNAMO_DISABLE"
_OF_A_CONTAINER = ("image", "ports", "resources")
_VOLUMES = ("shared-memory", "weights")
VLLM_LABELS = {"app": "plain-vllm"}


def freehold_model(manifest: Object, least: int) -> Object:
    """Return a ModelDeployment with other bounds: ``least`` and one."""
    spec = {name: value for name, value in manifest["spec"].items() if name != "replicas"}
    bounds = {"minReplicas": least, "maxReplicas": 1}
    return {**manifest, "spec": {**spec, "autoscaling": bounds}}


def served_name(rendered: Object) -> str:
    """Return the name by which clients ask for the model of a RayService."""
    return str(_llm(rendered)["model_loading_config"]["model_id"])


def plain_ray_service(rendered: Object, least: int) -> Object:
    """Return the RayService that a user writes by the documentation of Ray Serve LLM and KubeRay.

    Scaling to zero takes ``min_replicas: 0`` in the model's ``deployment_config``: the ingress in
    front of it then goes to zero too (``ray/llm/_internal/serve/core/ingress/ingress.py``), and
    Serve starts a first replica for any request, whatever the target. As in KubeRay's example for
    LLMs, the worker group has a pod from the beginning where the model has a replica.

    Args:
        rendered: The RayService that Freehold renders.
        least: The least replicas, 0 or 1.
    """
    return {
        "apiVersion": rendered["apiVersion"],
        "kind": rendered["kind"],
        "metadata": {"name": rendered["metadata"]["name"]},
        "spec": {
            "serveConfigV2": yaml.safe_dump(_config(rendered, least), sort_keys=False),
            "rayClusterConfig": _cluster(rendered["spec"]["rayClusterConfig"], least),
        },
    }


def vllm_server(rendered: Object, replicas: int) -> list[Object]:
    """Return a Deployment of ``vllm serve`` and the Service in front of it.

    It has no probes: no period of one stands between its first token and the client.

    Args:
        rendered: The RayService that Freehold renders.
        replicas: Its pods, 0 or 1.
    """
    name, (group,) = rendered["metadata"]["name"], _groups(rendered)
    template = _template(group["template"], "vllm")
    template["spec"]["containers"][0] |= {
        "command": _vllm_command(rendered),
        "env": [{"name": key, "value": value} for key, value in _environment(rendered).items()],
        "ports": [{"name": "http", "containerPort": PORT}],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": VLLM_LABELS},
            "template": {"metadata": {"labels": VLLM_LABELS}, **template},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": VLLM_LABELS, "ports": [{"name": "http", "port": PORT}]},
    }
    return [deployment, service]


def _config(rendered: Object, least: int) -> Object:
    application = _application(rendered)
    bounds = {"min_replicas": least, "max_replicas": 1}
    llm = {name: it for name, it in _llm(rendered).items() if name in _OF_THE_ENGINE}
    llm["engine_kwargs"] = _engine_arguments(rendered)
    if environment := _environment(rendered):
        llm["runtime_env"] = {"env_vars": environment}
    llm["deployment_config"] = {"autoscaling_config": bounds}
    kept = {name: application[name] for name in ("name", "route_prefix", "import_path")}
    return {"applications": [{**kept, "args": {"llm_configs": [llm]}}]}


def _cluster(rendered: Object, least: int) -> Object:
    (group,) = rendered["workerGroupSpecs"]
    return {
        "rayVersion": rendered["rayVersion"],
        "enableInTreeAutoscaling": True,
        # Ray takes it by itself; where it is named, KubeRay does not restart what it has ended
        "autoscalerOptions": {"version": "v2"},
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0"},
            "template": _template(rendered["headGroupSpec"]["template"], "ray-head"),
        },
        "workerGroupSpecs": [
            {
                "groupName": group["groupName"],
                "replicas": least,
                "minReplicas": least,
                "maxReplicas": 1,
                "rayStartParams": {"num-cpus": group["rayStartParams"]["num-cpus"]},
                "template": _template(group["template"], "ray-worker"),
            }
        ],
    }


def _template(rendered: Object, name: str) -> Object:
    """Return a pod with one container of the same image and size, and the same weights."""
    spec = rendered["spec"]
    ours = spec["containers"][0]
    container = {key: ours[key] for key in _OF_A_CONTAINER if key in ours}
    container |= {"name": name, "imagePullPolicy": "IfNotPresent"}
    found: Object = {"containers": [container]}
    if mounts := [it for it in ours.get("volumeMounts", []) if it["name"] in _VOLUMES]:
        container["volumeMounts"] = mounts
        found["volumes"] = [it for it in spec["volumes"] if it["name"] in _VOLUMES]
    return {"spec": found}


def _vllm_command(rendered: Object) -> list[str]:
    source = str(_llm(rendered)["model_loading_config"]["model_source"])
    named = ["--served-model-name", served_name(rendered), "--port", str(PORT)]
    # the program `vllm` asks for the package of that name, and the one for cores has another
    server = ["python", "-m", "vllm.entrypoints.openai.api_server", "--model", source]
    return [*server, *named, *flags(_engine_arguments(rendered))]


def _engine_arguments(rendered: Object) -> Object:
    given = _llm(rendered)["engine_kwargs"]
    return {name: value for name, value in given.items() if name != _FREEHOLDS_ARGUMENT}


def _environment(rendered: Object) -> dict[str, str]:
    """Return what the engine needs of an environment, without what only Freehold thinks of."""
    found = (_llm(rendered).get("runtime_env") or {}).get("env_vars") or {}
    return {name: value for name, value in found.items() if name != _FREEHOLDS_VARIABLE}


def _application(rendered: Object) -> Object:
    (found,) = yaml.safe_load(rendered["spec"]["serveConfigV2"])["applications"]
    return dict(found)


def _llm(rendered: Object) -> Object:
    (found,) = _application(rendered)["args"]["llm_configs"]
    return dict(found)


def _groups(rendered: Object) -> list[Object]:
    found: list[Object] = rendered["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return found
