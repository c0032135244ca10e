"""The servers that are compared: each brings up the same engine behind its own request path."""

from __future__ import annotations

import copy
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from freehold.local.machine import free_ports
from freehold.local.workload import Choices, load
from path_bench.client import PROMPT
from path_bench.family import Family, environment
from path_bench.flags import flags

HOST = "127.0.0.1"
START_SECONDS = 420.0
BIN = Path(sys.executable).parent
# Ray's own switch: a machine that is a cluster by itself listens on the loopback address.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
# Ray gives its workers niceness 15, which costs most where the client has the same cores.
COMMON = {"RAY_worker_niceness": "0", "HF_HUB_OFFLINE": "1"}
STOCK_DIRECT = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1"}


@dataclass(frozen=True, slots=True)
class Model:
    """A model to serve.

    Attributes:
        name: Served name.
        manifest: Its manifest.
        application: The Serve application that Freehold renders from it.
    """

    name: str
    manifest: Path
    application: dict[str, Any]

    @property
    def engine_kwargs(self) -> dict[str, Any]:
        """Return what every path hands to the engine."""
        kwargs: dict[str, Any] = self._llm["engine_kwargs"]
        return kwargs

    @property
    def engine_environment(self) -> dict[str, str]:
        """Return the environment of the engine's workers, the same on every path."""
        env: dict[str, str] = self._llm["runtime_env"]["env_vars"]
        return env

    @property
    def source(self) -> str:
        """Return the folder with the weights."""
        return str(self._llm["model_loading_config"]["model_source"])

    @property
    def _llm(self) -> dict[str, Any]:
        config: dict[str, Any] = self.application["args"]["llm_configs"][0]
        return config

    def stock_application(self) -> dict[str, Any]:
        """Return the application with Ray's own server class and all of Serve's defaults."""
        llm = copy.deepcopy(self._llm)
        del llm["server_cls"]
        return {
            "name": self.application["name"],
            "route_prefix": "/",
            "import_path": self.application["import_path"],
            "args": {"llm_configs": [llm]},
        }


def rendered(manifest: Path) -> Model:
    """Return the model of a manifest with the application that ``freehold run`` serves."""
    (served,) = load([manifest], Choices(vendors=("cpu",), offline=True))
    assert served.application is not None
    return Model(served.model.served_name, manifest, served.application)


@dataclass(slots=True)
class Target:
    """A server that runs.

    Attributes:
        path: Which of the paths it is.
        model: What it serves.
        base_url: Where it answers.
        family: Its processes.
        folder: Where it may write.
        first_token: Seconds from its launch to the first token; 0 until then.
    """

    path: str
    model: Model
    base_url: str
    family: Family
    folder: Path
    first_token: float = 0.0

    @classmethod
    def prepare(cls, path: str, model: Model, folder: Path) -> Target:
        """Return a server with a port of its own that has not been started."""
        (port,) = free_ports(HOST, 1)
        family = Family(folder / f"{path}-{model.name}.log")
        return cls(path, model, f"http://{HOST}:{port}", family, folder)


Launch = Callable[[Target, int], None]


def launch(target: Target) -> None:
    """Start a path; returns before it answers."""
    PATHS[target.path](target, int(target.base_url.rpartition(":")[2]))


def wait_for_token(target: Target, started: float) -> None:
    """Ask until one token has come, and note the seconds since ``started`` (perf_counter).

    Raises:
        RuntimeError: When the server ends, or does not answer in time.
    """
    body = {"model": target.model.name, "prompt": PROMPT, "max_tokens": 1, "stream": True}
    with httpx.Client(trust_env=False, timeout=START_SECONDS) as client:
        while True:
            target.family.require_alive()
            try:
                answer = client.post(f"{target.base_url}/v1/completions", json=body)
                if answer.status_code == 200 and '"text"' in answer.text:
                    target.first_token = time.perf_counter() - started
                    return
            except httpx.TransportError:
                pass
            if time.perf_counter() - started > START_SECONDS:
                raise RuntimeError(f"{target.path} gives no token:\n{target.family.last_words()}")
            time.sleep(0.2)


def _freehold(target: Target, port: int) -> None:
    command = [str(BIN / "freehold"), "run", str(target.model.manifest), "--port", str(port)]
    target.family.start([*command, "--offline"], environment(**COMMON))


def _plain(target: Target, port: int) -> None:
    model = target.model
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", model.source, "--served-model-name", model.name]
    command += ["--host", HOST, "--port", str(port), *flags(model.engine_kwargs)]
    target.family.start(command, environment(**COMMON, **model.engine_environment))


def _stock(target: Target, port: int) -> None:
    ray_head(target, port, {}, target.model.stock_application())


def _stock_direct(target: Target, port: int) -> None:
    settings = STOCK_DIRECT | haproxy_places(target)
    ray_head(target, port, settings, target.model.stock_application())


def haproxy_places(target: Target) -> dict[str, str]:
    """Give HAProxy ports and files of its own; how it works stays Ray's default."""
    metrics, stats, fallback = free_ports(HOST, 3)
    folder = Path(tempfile.mkdtemp(prefix="ha-", dir=target.folder))
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
    }


def ray_head(
    target: Target, port: int, settings: dict[str, str], application: dict[str, Any]
) -> None:
    """Start a Ray head as Ray's documentation does, and deploy an application to it."""
    gcs, dashboard, agent, client, metrics = free_ports(HOST, 5)
    env = environment(**COMMON, **_LOOPBACK, **settings)
    command = [str(BIN / "ray"), "start", "--head", "--block", f"--node-ip-address={HOST}"]
    command += [f"--port={gcs}", "--num-cpus=16", f"--dashboard-host={HOST}"]
    command += [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    command += [f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}"]
    command += [f"--temp-dir={tempfile.mkdtemp(prefix='r-', dir=target.folder)}"]
    command += ["--object-store-memory=268435456", "--disable-usage-stats"]
    target.family.start(command, env)
    config = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": HOST, "port": port},
        "applications": [application],
    }
    file = target.folder / f"{target.path}-{target.model.name}.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    address = f"http://{HOST}:{dashboard}"
    _wait_for_dashboard(target, address)
    target.family.start([str(BIN / "serve"), "deploy", str(file), "--address", address], env)


def _wait_for_dashboard(target: Target, address: str) -> None:
    for _ in range(1200):
        target.family.require_alive()
        try:
            url = f"{address}/api/serve/applications/"
            if httpx.get(url, trust_env=False, timeout=30).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"Ray does not start:\n{target.family.last_words()}")


PATHS: dict[str, Launch] = {
    "vllm": _plain,
    "freehold": _freehold,
    "ray-direct": _stock_direct,
    "ray-stock": _stock,
}
