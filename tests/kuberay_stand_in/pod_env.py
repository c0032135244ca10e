"""The environment variables that KubeRay gives its pods' containers."""

from __future__ import annotations

from tests.kuberay_stand_in.api import Object

_ALL = {
    "RAY_PORT": "6379",
    "RAY_timeout_ms_task_wait_for_death_info": "0",
    "RAY_gcs_server_request_timeout_seconds": "5",
    "RAY_SERVE_KV_TIMEOUT_S": "5",
    "RAY_USAGE_STATS_KUBERAY_IN_USE": "1",
    "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE": "1",
}
_HEAD = {
    "RAY_ADDRESS": "127.0.0.1:6379",
    "RAY_USAGE_STATS_EXTRA_TAGS": "kuberay_version=v1.7.0;kuberay_crd=RayService",
}


def of_token(cluster: Object) -> list[Object]:
    """Return Ray's token, where the spec of a RayCluster asks for one."""
    options = cluster.get("authOptions") or {}
    if options.get("mode") != "token":
        return []
    secret = {"name": options.get("secretName", ""), "key": "auth_token"}
    return [
        {"name": "RAY_AUTH_MODE", "value": "token"},
        {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": secret}},
    ]


def of_any(line: str) -> list[Object]:
    """Return what Ray has on every node that starts with a command line."""
    return [
        *_fields(
            RAY_CLUSTER_NAME="metadata.labels['ray.io/cluster']",
            RAY_CLUSTER_NAMESPACE="metadata.namespace",
            RAY_CLOUD_INSTANCE_ID="metadata.name",
            RAY_NODE_TYPE_NAME="metadata.labels['ray.io/group']",
        ),
        *_values({"KUBERAY_GEN_RAY_START_CMD": line} | _ALL),
    ]


def of_head(autoscaling: bool) -> list[Object]:
    """Return what Ray has on the head alone."""
    return _values(_HEAD | ({"RAY_enable_autoscaler_v2": "true"} if autoscaling else {}))


def of_address(head: str) -> list[Object]:
    """Return the names of the head's Service, for a worker."""
    return _values({"FQ_RAY_IP": head, "RAY_IP": head.split(".", maxsplit=1)[0]})


def of_worker(head: str) -> list[Object]:
    """Return what Ray has on a worker alone."""
    return [*of_address(head), *_values({"RAY_ADDRESS": f"{head}:6379"})]


def of_autoscaler(command: str) -> list[Object]:
    """Return what Ray's autoscaler has."""
    return [
        *_fields(
            RAY_CLUSTER_NAME="metadata.labels['ray.io/cluster']",
            RAY_CLUSTER_NAMESPACE="metadata.namespace",
            RAY_HEAD_POD_NAME="metadata.name",
        ),
        *_values({"KUBERAY_CRD_VER": "v1", "KUBERAY_GEN_AUTOSCALER_START_CMD": command}),
    ]


def _values(values: dict[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _fields(**paths: str) -> list[Object]:
    return [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in paths.items()
    ]
