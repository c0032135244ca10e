"""The committed schemas are no laxer than the models of the installed Ray and vLLM."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from freehold.render.schema import check_engine_args, check_serve_config

with warnings.catch_warnings():
    # Ray's own modules warn as they are imported.
    warnings.simplefilter("ignore")
    from ray.llm._internal.serve.core.configs.llm_config import LLMConfig
    from ray.llm._internal.serve.core.ingress.builder import LLMServingArgs
    from ray.llm._internal.serve.engines.vllm.vllm_models import VLLMEngineConfig
    from ray.serve.config import AutoscalingConfig
    from ray.serve.schema import ServeDeploySchema
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import FrontendArgs

# What Ray deprecates in its own code is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).resolve().parents[2]
Config = dict[str, Any]


def unit_config() -> Config:
    """Return the config that the unit tests call good, so that both judge the same one."""
    file = ROOT / "tests" / "unit" / "render" / "test_schema.py"
    spec = importlib.util.spec_from_file_location("freehold_unit_schema", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config: Config = copy.deepcopy(module.GOOD)
    return config


def minimal_config() -> Config:
    loading = {"model_id": "tiny"}
    args = {"llm_configs": [{"model_loading_config": loading}]}
    app = {"import_path": "ray.serve.llm:build_openai_app", "args": args}
    return {"applications": [app]}


def cpu_config() -> Config:
    config = minimal_config()
    (llm,) = config["applications"][0]["args"]["llm_configs"]
    llm["placement_group_config"] = {"bundles": [{"CPU": 1}, {"CPU": 1}]}
    llm["accelerator_config"] = {"kind": "cpu"}
    llm["engine_kwargs"] = {"tensor_parallel_size": 2, "distributed_executor_backend": "mp"}
    config["applications"][0]["deployments"] = [{"name": "LLMServer:tiny", "num_replicas": "auto"}]
    return config


@pytest.mark.parametrize("make", [unit_config, minimal_config, cpu_config])
def test_ray_takes_what_the_check_takes(make: Any) -> None:
    config = make()
    assert check_serve_config(config) == ()
    deploy = ServeDeploySchema.model_validate(config)
    for app in deploy.applications:
        served = LLMServingArgs.model_validate(app.args)
        for llm in served.llm_configs:
            assert isinstance(llm, LLMConfig)
            assert VLLMEngineConfig.from_llm_config(llm).get_initialization_kwargs()["model"]
        for deployment in app.deployments:
            if isinstance(deployment.autoscaling_config, dict):
                AutoscalingConfig(**deployment.autoscaling_config)


def test_ray_drops_silently_what_the_check_refuses() -> None:
    config = minimal_config()
    override = {"name": "LLMServer:tiny", "max_ongoing_request": 5}
    scaling = {"min_replicas": 1, "max_replica": 4}
    config["applications"][0]["deployments"] = [override | {"autoscaling_config": scaling}]
    config["http_options"] = {"prt": 1}
    deploy = ServeDeploySchema.model_validate(config)
    (deployment,) = deploy.applications[0].deployments
    assert "max_ongoing_request" not in deployment.model_dump()
    assert AutoscalingConfig(**scaling).max_replicas == 1
    assert [fault.path for fault in check_serve_config(config)] == [
        "applications[0].deployments[0].autoscaling_config.max_replica",
        "applications[0].deployments[0].max_ongoing_request",
        "http_options.prt",
    ]


def test_every_name_that_ray_hands_to_vllm_is_known() -> None:
    fields = {f.name for cls in (AsyncEngineArgs, FrontendArgs) for f in dataclasses.fields(cls)}
    data = ROOT / "operator" / "freehold" / "render" / "data" / "vllm_engine_args.json"
    schema = json.loads(data.read_text(encoding="utf-8"))
    assert schema["properties"].keys() | schema["forbidden"].keys() == fields
    for name in schema["forbidden"]:
        llm = LLMConfig(model_loading_config={"model_id": "a"}, engine_kwargs={name: "b"})
        with pytest.raises(ValueError, match="not allowed in engine_kwargs"):
            VLLMEngineConfig.from_llm_config(llm).get_initialization_kwargs()


def test_every_recorded_default_is_accepted() -> None:
    data = ROOT / "operator" / "freehold" / "render" / "data" / "vllm_engine_args.json"
    properties = json.loads(data.read_text(encoding="utf-8"))["properties"]
    defaults = {name: entry["default"] for name, entry in properties.items() if "default" in entry}
    assert len(defaults) > 200
    assert check_engine_args(defaults) == ()
