"""The pods that KubeRay makes of a RayCluster's templates."""

from __future__ import annotations

import copy
from typing import Any

from tests.kuberay_stand_in import pod_env
from tests.kuberay_stand_in.api import Object
from tests.kuberay_stand_in.services import ports

_AGENT, _METRICS = 52365, 8080


def head_pod(cluster: Object, hash: str) -> Object:
    """Return a cluster's head, but for its owner."""
    name, spec = cluster["metadata"]["name"], cluster["spec"]
    group = spec["headGroupSpec"]
    pod = _pod(cluster, group, "head", "headgroup", name)
    pod["metadata"]["annotations"] |= {
        "ray.io/ft-enabled": "false",
        "ray.io/kuberay-version": "v1.7.0",
        "ray.io/upgrade-strategy-recreate-hash": hash,
    }
    parameters = dict(group.get("rayStartParams") or {})
    if spec.get("enableInTreeAutoscaling"):
        parameters["no-monitor"] = "true"
        pod["spec"]["serviceAccountName"] = name
        pod["spec"]["restartPolicy"] = "Never"
        sidecar = _autoscaler(cluster, pod["spec"]["containers"][0])
        pod["spec"]["containers"].append(sidecar)
        _add_logs(pod["spec"])
    ray = pod["spec"]["containers"][0]
    _start(ray, "ray start --head", parameters, timeout=5)
    ray["env"] += pod_env.of_head(bool(spec.get("enableInTreeAutoscaling")))
    ray.setdefault("readinessProbe", _probe(10, 5, httpGet=_healthz()))
    return pod


def worker_pod(cluster: Object, group: Object, labels: dict[str, str]) -> Object:
    """Return a pod of a worker group, with labels of its place in it, but for its owner."""
    name, metadata = group["groupName"], cluster["metadata"]
    pod = _pod(cluster, group, "worker", name, f"{metadata['name']}-{name}")
    pod["metadata"]["labels"] |= {"ray.io/serve": "true"} | labels
    if cluster["spec"].get("enableInTreeAutoscaling"):
        pod["spec"]["restartPolicy"] = "Never"
    head = f"{metadata['name']}-head-svc.{metadata['namespace']}.svc.cluster.local"
    ray = pod["spec"]["containers"][0]
    pod["spec"].setdefault("initContainers", []).append(_wait_for_head(ray, head))
    parameters = {"address": f"{head}:6379"} | (group.get("rayStartParams") or {})
    _start(ray, "ray start", parameters, timeout=2)
    ray["env"] += pod_env.of_worker(head)
    serve = ports(cluster).get("serve", 8000)
    script = (
        f"wget --tries 1 -T 2 -q -O- http://localhost:{_AGENT}/api/local_raylet_healthz "
        f"| grep success && wget --tries 1 -T 10 -q -O- http://localhost:{serve}/-/healthz "
        f"| grep success"
    )
    ray.setdefault("readinessProbe", _probe(1, 2, exec={"command": ["bash", "-c", script]}))
    return pod


def _pod(cluster: Object, group: Object, type: str, group_name: str, prefix: str) -> Object:
    template, name = copy.deepcopy(group["template"]), cluster["metadata"]["name"]
    given = template.get("metadata") or {}
    # what the template says wins, but for these three
    labels = {
        "app.kubernetes.io/created-by": "kuberay-operator",
        "app.kubernetes.io/name": "kuberay",
        "ray.io/identifier": f"{name}-{type}",
        "ray.io/is-ray-node": "yes",
        **(given.get("labels") or {}),
        "ray.io/cluster": name,
        "ray.io/group": group_name,
        "ray.io/node-type": type,
    }
    if type == "head":
        labels["ray.io/serve"] = "false"
    return {
        "metadata": {
            "generateName": f"{prefix[:50]}-{type}-",
            "namespace": cluster["metadata"]["namespace"],
            "labels": labels,
            "annotations": dict(given.get("annotations") or {}),
        },
        "spec": _with_token(cluster["spec"], template["spec"]),
    }


def _with_token(cluster: Object, spec: Object) -> Object:
    ray = spec["containers"][0]
    ray.setdefault("env", []).extend(pod_env.of_token(cluster))
    _add_shared_memory(spec)
    if not any(item.get("name") == "metrics" for item in ray.setdefault("ports", [])):
        ray["ports"].append({"name": "metrics", "containerPort": _METRICS})
    return dict(spec)


def _add_shared_memory(spec: Object) -> None:
    """Give Ray shared memory as large as its memory, where the template mounts none."""
    ray, mounts = spec["containers"][0], spec["containers"][0].setdefault("volumeMounts", [])
    if any(one["mountPath"] == "/dev/shm" for one in mounts):
        return
    found = ray.get("resources") or {}
    memory = ((found.get("requests") or {}) | (found.get("limits") or {})).get("memory")
    size = {"sizeLimit": memory} if memory else {}
    volume = {"name": "shared-mem", "emptyDir": {"medium": "Memory", **size}}
    spec.setdefault("volumes", []).append(volume)
    mounts.append({"name": "shared-mem", "mountPath": "/dev/shm"})


def _add_logs(spec: Object) -> None:
    """Let Ray and its autoscaler share the folder of the logs."""
    spec.setdefault("volumes", []).append({"name": "ray-logs", "emptyDir": {}})
    for container in (spec["containers"][0], spec["containers"][-1]):
        mount = {"name": "ray-logs", "mountPath": "/tmp/ray"}
        container["volumeMounts"] = [*container.get("volumeMounts", []), mount]


def _start(ray: Object, command: str, parameters: dict[str, str], timeout: int) -> None:
    flags = {
        "block": "true",
        "dashboard-agent-listen-port": str(_AGENT),
        "metrics-export-port": str(_METRICS),
    } | parameters
    words = [f"--{key}" if value == "true" else f"--{key}={value}" for key, value in flags.items()]
    line = f"{command}  {'  '.join(sorted(words))} "
    limit = "ulimit -n ${RAY_START_ULIMIT_OPEN_FILES:-65536}"
    ray["command"], ray["args"] = ["/bin/bash", "-c", "--"], [f"{limit}; {line}"]
    ray["env"] += pod_env.of_any(line)
    ray.setdefault("livenessProbe", _probe(120, timeout, httpGet=_healthz()) | _LATER)


_LATER = {"initialDelaySeconds": 30}


def _probe(failures: int, timeout: int, **check: Any) -> Object:
    return {
        "failureThreshold": failures,
        "initialDelaySeconds": 10,
        "periodSeconds": 5,
        "timeoutSeconds": timeout,
        **check,
    }


def _healthz() -> Object:
    return {"path": "/api/healthz", "port": _AGENT}


def _amounts(cpu: str, memory: str) -> Object:
    amounts = {"cpu": cpu, "memory": memory}
    return {"requests": amounts, "limits": dict(amounts)}


def _wait_for_head(ray: Object, head: str) -> Object:
    script = f"until ray health-check --address {head}:6379; do sleep 5; done"
    waiting = {
        "name": "wait-gcs-ready",
        "image": ray["image"],
        "command": ["/bin/bash", "-c", "--"],
        "args": [script],
        "env": [*copy.deepcopy(ray["env"]), *pod_env.of_address(head)],
        "resources": _amounts("200m", "256Mi"),
    }
    return waiting | {key: ray[key] for key in ("imagePullPolicy", "volumeMounts") if key in ray}


def _autoscaler(cluster: Object, ray: Object) -> Object:
    options = cluster["spec"].get("autoscalerOptions") or {}
    command = (
        "ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) "
        "--cluster-namespace $(RAY_CLUSTER_NAMESPACE)"
    )
    sidecar = {
        "name": "autoscaler",
        "image": options.get("image", ray["image"]),
        "command": ["/bin/bash", "-c", "--"],
        "args": [command],
        "env": [
            *pod_env.of_autoscaler(command),
            *pod_env.of_token(cluster["spec"]),
            *(options.get("env") or []),
        ],
        "resources": options.get("resources") or _amounts("500m", "512Mi"),
    }
    given = ("imagePullPolicy", "volumeMounts", "securityContext", "envFrom")
    return sidecar | {key: options[key] for key in given if key in options}
