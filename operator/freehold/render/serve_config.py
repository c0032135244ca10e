"""A plan to the Ray Serve config that serves it (``serveConfigV2``).

What stands in ``args`` is the application's code to Serve: any change there restarts every
replica. What stands in ``deployments`` changes in place. Hence every scaling value is in the
second and none in the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.plan import Plan
from freehold.render.engine_kwargs import engine_kwargs
from freehold.render.request_path import (
    RequestPath,
    admission,
    application_environment,
    front_deployment,
)
from freehold.render.scaling import autoscaling_config, replica_bounds
from freehold.render.source_pin import UNPINNED, SourcePin, weights_check
from freehold.render.weights_location import weights_location

IMPORT_PATH = "ray.serve.llm:build_openai_app"
SERVER_CLASS = "freehold.serving.server.FreeholdServer"
# Ray's name for one device, by the vendor of the class.
_RAY_RESOURCE = {"cpu": "CPU", "google": "TPU", "aws": "neuron_cores", "intel": "HPU"}
# PyYAML's own are ten times slower, and the operator reads and writes a config in every pass.
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# A long answer may still be streaming when its replica is told to stop.
_DRAIN_SECONDS = 600.0


def server_deployment_name(served_name: str) -> str:
    """Return the name that Serve LLM gives the deployment of a model."""
    model = served_name.replace("/", "--").replace(".", "_")
    return f"{SERVER_CLASS.rsplit('.', 1)[1]}:{model}"


def serve_application(
    model: ModelDeployment,
    plan: Plan,
    *,
    route_prefix: str = "/",
    path: RequestPath = "direct",
    code: str | None = None,
    pin: SourcePin = UNPINNED,
    surge_percent: int | None = None,
) -> dict[str, Any] | None:
    """Return the Serve application of one model, or None for a model with no replicas.

    Args:
        model: The model.
        plan: Its plan.
        route_prefix: Path under which it answers.
        path: The way of a request to the engine.
        code: URI of the archive with our server class, where engines do not find it installed.
        pin: What the model's source is held to.
        surge_percent: Of a hundred replicas, those that start beside the ones that they replace.
            None for a machine that need not have room for one more: there a replica stops first.
    """
    if replica_bounds(model.spec)[1] == 0:
        return None
    application: dict[str, Any] = {
        "name": model.name,
        "route_prefix": route_prefix,
        "import_path": IMPORT_PATH,
        "args": {"llm_configs": [_llm_config(model, plan, pin)]},
        "deployments": [_server(model, plan, path), front_deployment(path)],
    }
    if surge_percent is not None:
        # what stands in front takes no cores: its successor always starts beside it
        for deployment, percent in zip(
            application["deployments"], (surge_percent, 100), strict=True
        ):
            deployment["max_surge_percent"] = percent
    runtime_env: dict[str, Any] = {"env_vars": application_environment(path)}
    if code is not None:
        runtime_env["py_modules"] = [code]
    return application | {"runtime_env": runtime_env}


def serve_config(applications: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the config that holds these applications, in the order given."""
    return {"proxy_location": "EveryNode", "applications": list(applications)}


def to_yaml(config: Any) -> str:
    """Return data as YAML, the same bytes for the same data."""
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def from_yaml(text: str) -> Any:
    """Return the data of a text of ``to_yaml``."""
    return yaml.load(text, Loader=_Loader)


def _llm_config(model: ModelDeployment, plan: Plan, pin: SourcePin) -> dict[str, Any]:
    source = model.spec.model
    scheme = source.source.partition("://")[0]
    # elsewhere a revision is a name of the user's, which says nothing to the engine
    revision = (pin.commit or source.revision) if scheme == "hf" else None
    config: dict[str, Any] = {
        "model_loading_config": {
            "model_id": model.served_name,
            "model_source": weights_location(source.source),
        },
        "engine_kwargs": engine_kwargs(plan, model.engine_args, revision),
        "placement_group_config": _placement(plan),
        "server_cls": SERVER_CLASS,
        **weights_check(scheme, pin),
    }
    if plan.accelerator.vendor == "cpu":
        config["accelerator_config"] = {"kind": "cpu"}
        config["runtime_env"] = {"env_vars": _cpu_environment(plan)}
    return config


def _placement(plan: Plan) -> dict[str, Any]:
    """Return one bundle for each device; no accelerator type.

    A worker group at zero does not offer ``accelerator_type:X``, so asking for it would keep the
    group at zero for ever (ray-project/kuberay#863); the worker group pins the hardware instead.
    """
    resource = _RAY_RESOURCE.get(plan.accelerator.vendor, "GPU")
    amount = max(plan.accelerator.cores, 1)
    bundles = [{resource: amount} for _ in range(plan.layout.devices)]
    strategy = "STRICT_PACK" if plan.layout.nodes == 1 else "PACK"
    return {"bundles": bundles, "strategy": strategy}


def _cpu_environment(plan: Plan) -> dict[str, str]:
    """Return the environment of CPU workers: as many threads as cores, bound to none.

    Binding by rank, the engine's default, would put every replica on the same cores. An engine that
    is told to compile nothing (``enforce_eager``) still has a C++ compiler build its embedding and
    its sampler at the first request (vLLM 0.29): 23 s on two cores, to serve no faster.
    """
    return {
        "OMP_NUM_THREADS": str(plan.accelerator.cores),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "TORCHDYNAMO_DISABLE": "1",
    }


def _server(model: ModelDeployment, plan: Plan, path: RequestPath) -> dict[str, Any]:
    return {
        "name": server_deployment_name(model.served_name),
        **admission(path, plan.max_num_seqs),
        "health_check_period_s": 10.0,
        "health_check_timeout_s": 60.0,
        "graceful_shutdown_wait_loop_s": 2.0,
        "graceful_shutdown_timeout_s": _DRAIN_SECONDS,
        "autoscaling_config": autoscaling_config(model.spec, plan.max_num_seqs),
    }
