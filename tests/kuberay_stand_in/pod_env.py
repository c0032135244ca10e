"""The environment variables that KubeRay gives its pods' containers."""

from __future__ import annotations

from tests.kuberay_stand_in.api import Object

# so that requests wait for a lost head no longer than they must
_OF_A_RAY_SERVICE = {
    "RAY_timeout_ms_task_wait_for_death_info": "0",
    "RAY_gcs_server_request_timeout_seconds": "5",
    "RAY_SERVE_KV_TIMEOUT_S": "5",
}
_EXTRA_TAGS = "kuberay_version=v1.7.0;kuberay_crd=RayService"


def of_token(cluster: Object) -> list[Object]:
    """Return Ray's token, where a RayCluster asks for one."""
    options = cluster["spec"].get("authOptions") or {}
    if options.get("mode") != "token":
        return []
    name = options.get("secretName") or cluster["metadata"]["name"]
    secret = {"name": name, "key": "auth_token"}
    return [
        *_values(RAY_AUTH_MODE="token"),
        {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": secret}},
    ]


def add_missing(container: Object, variables: list[Object]) -> None:
    """Add variables that a container has not yet."""
    env = container.setdefault("env", [])
    named = {it["name"] for it in env}
    env += [it for it in variables if it["name"] not in named]


def of_identity(line: str) -> list[Object]:
    """Return what Ray has on every node, whatever the template says.

    Args:
        line: Command line that starts Ray.
    """
    return [
        *_fields(
            RAY_CLUSTER_NAME="metadata.labels['ray.io/cluster']",
            RAY_CLUSTER_NAMESPACE="metadata.namespace",
            RAY_CLOUD_INSTANCE_ID="metadata.name",
            RAY_NODE_TYPE_NAME="metadata.labels['ray.io/group']",
        ),
        *_values(KUBERAY_GEN_RAY_START_CMD=line),
    ]


def of_settings(host: str, port: str) -> list[Object]:
    """Return what Ray has on every node, unless the template says otherwise.

    Args:
        host: Where the head is.
        port: Port of its global control store.
    """
    address = {"RAY_ADDRESS": f"{host}:{port}", "RAY_USAGE_STATS_KUBERAY_IN_USE": "1"}
    return _values(**{"RAY_PORT": port} | _OF_A_RAY_SERVICE | address)


def of_tags() -> list[Object]:
    """Return by what Ray's head counts KubeRay's clusters."""
    return _values(RAY_USAGE_STATS_EXTRA_TAGS=_EXTRA_TAGS)


def of_dashboard() -> list[Object]:
    """Return what makes Ray's dashboard show disks."""
    return _values(RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE="1")


def of_address(head: str) -> list[Object]:
    """Return the names of the head's Service, for a worker."""
    return _values(FQ_RAY_IP=head, RAY_IP=head.split(".", maxsplit=1)[0])


def of_scaling(cluster: Object) -> list[Object]:
    """Return which autoscaler a head is to work with, where the RayCluster names its version."""
    if not cluster["spec"].get("enableInTreeAutoscaling"):
        return []
    version = (cluster["spec"].get("autoscalerOptions") or {}).get("version")
    return _values(RAY_enable_autoscaler_v2=str(version == "v2").lower()) if version else []


def of_autoscaler(command: str) -> list[Object]:
    """Return what Ray's autoscaler has."""
    return [
        *_fields(
            RAY_CLUSTER_NAME="metadata.labels['ray.io/cluster']",
            RAY_CLUSTER_NAMESPACE="metadata.namespace",
            RAY_HEAD_POD_NAME="metadata.name",
        ),
        *_values(KUBERAY_CRD_VER="v1", KUBERAY_GEN_AUTOSCALER_START_CMD=command),
    ]


def of_fault_tolerance(cluster: Object, namespace: str, type: str) -> list[Object]:
    """Return where Ray keeps what outlives a head, where a RayCluster names a Redis.

    Args:
        cluster: The RayCluster.
        namespace: Name of the cluster's own part of that Redis.
        type: ``head`` or ``worker``.
    """
    options = cluster["spec"].get("gcsFaultToleranceOptions")
    if options is None:
        return []
    if type == "worker":
        return _values(RAY_gcs_rpc_server_reconnect_timeout_s="600")
    told = {"RAY_external_storage_namespace": namespace}
    told["RAY_REDIS_ADDRESS"] = options.get("redisAddress", "")
    secrets = [
        {"name": name, **options[key]}
        for name, key in (("REDIS_USERNAME", "redisUsername"), ("REDIS_PASSWORD", "redisPassword"))
        if options.get(key)
    ]
    return [*_values(**told), *secrets]


def _values(**values: str) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _fields(**paths: str) -> list[Object]:
    return [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in paths.items()
    ]
