"""The pods that KubeRay makes of a RayCluster's templates."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from tests.kuberay_stand_in import pod_env
from tests.kuberay_stand_in.api import Object
from tests.kuberay_stand_in.pod_parts import (
    account_of,
    add_empty_dir,
    add_metrics_port,
    autoscaler,
    wait_for_head,
)
from tests.kuberay_stand_in.probes import set_probes
from tests.kuberay_stand_in.ray_start import (
    GCS_PORT,
    add_amounts,
    command_line,
    parameters_of,
    set_command,
)


def head_pod(cluster: Object, hash: str) -> Object:
    """Return a cluster's head, but for its owner."""
    name, spec = cluster["metadata"]["name"], cluster["spec"]
    group = spec["headGroupSpec"]
    pod = _Pod(cluster, group, "head", "headgroup", name)
    ray, scales = pod.ray, bool(spec.get("enableInTreeAutoscaling"))
    parameters = parameters_of(group, dashboard_host="0.0.0.0")
    if scales:
        parameters["no-monitor"] = "true"
        pod.spec["serviceAccountName"] = account_of(cluster)
        pod.spec["containers"].append(autoscaler(cluster, ray))
    ray["env"] += pod_env.of_scaling(cluster)
    _keep_state(pod, parameters)
    pod.metadata["annotations"] |= {
        "ray.io/kuberay-version": "v1.7.0",
        "ray.io/upgrade-strategy-recreate-hash": hash,
    }
    _finish(pod, parameters, "127.0.0.1")
    if scales:
        for container in (ray, pod.spec["containers"][-1]):
            add_empty_dir(pod.spec, container, "ray-logs", "/tmp/ray")
    return pod.whole


def worker_pod(cluster: Object, group: Object, labels: dict[str, str]) -> Object:
    """Return a pod of a worker group, with labels of its place in it, but for its owner."""
    name, metadata = group["groupName"], cluster["metadata"]
    pod = _Pod(cluster, group, "worker", name, f"{metadata['name']}-{name}")
    pod.metadata["labels"] |= labels
    address = f"{pod.head}:{pod.port}"
    pod.spec.setdefault("initContainers", []).append(wait_for_head(pod.ray, address))
    parameters = parameters_of(group, address=address)
    pod_env.add_missing(pod.ray, pod_env.of_fault_tolerance(cluster, "", "worker"))
    _finish(pod, parameters, pod.head)
    return pod.whole


@dataclass
class _Pod:
    """A pod on its way from a group's template."""

    cluster: Object
    group: Object
    type: str
    group_name: str
    prefix: str
    metadata: Object = field(init=False)
    spec: Object = field(init=False)

    def __post_init__(self) -> None:
        template, name = copy.deepcopy(self.group["template"]), self.cluster["metadata"]["name"]
        given = template.get("metadata") or {}
        # what the template says wins, but for the last four
        labels = {
            "app.kubernetes.io/created-by": "kuberay-operator",
            "app.kubernetes.io/name": "kuberay",
            "ray.io/identifier": f"{name}-{self.type}",
            "ray.io/is-ray-node": "yes",
            **(given.get("labels") or {}),
            **(self.group.get("labels") or {}),
            "ray.io/cluster": name,
            "ray.io/group": self.group_name,
            "ray.io/node-type": self.type,
            # of a head it is set once its proxy answers; of a worker its readiness says it
            "ray.io/serve": str(self.type == "worker").lower(),
        }
        self.metadata = {
            "generateName": f"{self.prefix[:50]}-{self.type}-".lower(),
            "namespace": self.cluster["metadata"]["namespace"],
            "labels": labels,
            "annotations": dict(given.get("annotations") or {}),
        }
        self.spec = template["spec"]
        self.ray.setdefault("env", [])

    @property
    def ray(self) -> Object:
        """Ray's container."""
        found: Object = self.spec["containers"][0]
        return found

    @property
    def head(self) -> str:
        """The name of the head's Service."""
        metadata = self.cluster["metadata"]
        return f"{metadata['name']}-head-svc.{metadata['namespace']}.svc.cluster.local"

    @property
    def port(self) -> str:
        """The port of the head's global control store."""
        given = self.cluster["spec"]["headGroupSpec"].get("rayStartParams") or {}
        return str(given.get("port", GCS_PORT))

    @property
    def whole(self) -> Object:
        """The pod."""
        return {"metadata": self.metadata, "spec": self.spec}


def _keep_state(pod: _Pod, parameters: dict[str, str]) -> None:
    """Have a head keep in Redis what outlives it, where its cluster names one."""
    cluster = pod.cluster
    options = cluster["spec"].get("gcsFaultToleranceOptions")
    annotations = pod.metadata["annotations"]
    annotations["ray.io/ft-enabled"] = str(options is not None).lower()
    if options is None:
        return
    namespace = options.get("externalStorageNamespace") or cluster["metadata"]["uid"]
    annotations["ray.io/external-storage-namespace"] = namespace
    pod.ray["env"] += pod_env.of_fault_tolerance(cluster, namespace, "head")
    for name in ("username", "password"):
        if options.get(f"redis{name.title()}"):
            parameters[f"redis-{name}"] = f"$REDIS_{name.upper()}"


def _finish(pod: _Pod, parameters: dict[str, str], host: str) -> None:
    """Do what is the same for heads and workers; ``host`` is where the head is, from here."""
    cluster, ray, spec = pod.cluster, pod.ray, pod.spec
    add_metrics_port(ray)
    if _scaled_by_v2(cluster):
        spec["restartPolicy"] = "Never"
    _give_token(pod)
    if "plasma-directory" not in parameters:
        add_empty_dir(spec, ray, "shared-mem", "/dev/shm", memory=True)
    add_amounts(parameters, ray)
    line = command_line("ray start --head" if pod.type == "head" else "ray start", parameters)
    set_command(ray, line)
    _tell(pod, line, host)
    set_probes(ray, pod.type, parameters, str(cluster["spec"].get("rayVersion", "")))


def _give_token(pod: _Pod) -> None:
    """Give Ray's token to Ray and to what waits for the head, of the template's containers."""
    waiting = [it for it in pod.spec.get("initContainers", []) if it["name"] == "wait-gcs-ready"]
    for container in (pod.ray, *waiting):
        pod_env.add_missing(container, pod_env.of_token(pod.cluster))


def _tell(pod: _Pod, line: str, host: str) -> None:
    """Tell the containers where they are, in the order of the recordings."""
    ray = pod.ray
    for container in pod.spec.get("initContainers", []):
        container.setdefault("env", []).extend(pod_env.of_address(pod.head))
    if pod.type == "worker":
        ray["env"] += pod_env.of_address(pod.head)
    ray["env"] += pod_env.of_identity(line)
    pod_env.add_missing(ray, pod_env.of_settings(host, pod.port))
    if pod.type == "head":
        ray["env"] += pod_env.of_tags()
    pod_env.add_missing(ray, pod_env.of_dashboard())


def _scaled_by_v2(cluster: Object) -> bool:
    options = cluster["spec"].get("autoscalerOptions") or {}
    return bool(cluster["spec"].get("enableInTreeAutoscaling")) and options.get("version") == "v2"
