"""``freehold operator``: looks after the ModelDeployments of a cluster."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Literal

import click
from kubernetes.aio.config import ConfigException

from freehold.cli.peers import PeersType
from freehold.cli.redis import RedisAddressType, SecretKeyType
from freehold.controller import logs
from freehold.controller.operator import Settings
from freehold.controller.process import Process
from freehold.errors import ClusterUnreachable
from freehold.kube.errors import Denied
from freehold.kube.lease import new_identity
from freehold.render.gcs_fault_tolerance import GcsFaultTolerance, SecretKey
from freehold.render.network_policies import Peer, Peers


@click.command(
    epilog="""
    Inside a cluster it uses the pod's service account, elsewhere what kubectl would use. The chart
    in charts/freehold installs it with the rights that it needs and no more.

    Exit codes: 0 told to stop, 1 lost its lease, 4 the installation's key cannot be read, 8 no
    cluster is configured.
    """
)
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    help="Namespace to look after; repeat it for several. Default: all.",
)
@click.option(
    "--lease-namespace",
    envvar="POD_NAMESPACE",
    help="Namespace of the lease by which one of several operators leads. Also POD_NAMESPACE.",
)
@click.option(
    "--install-key-file",
    required=True,
    type=click.Path(path_type=Path),
    help="File with 32 random bytes or more that are this installation's own; tokens of Ray "
    "clusters are derived from them.",
)
@click.option(
    "--install-key-secret",
    help="Secret that is mounted there, in the lease's namespace; made where it is missing.",
)
@click.option("--no-leader-election", is_flag=True, help="Lead without a lease.")
@click.option("--pod-name", envvar="POD_NAME", hidden=True)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port of /metrics, /healthz and /readyz; 0 for a free one.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Models to look at at once.",
)
@click.option(
    "--relist-interval",
    type=click.FloatRange(1),
    default=600,
    show_default=True,
    help="Seconds between two lists of everything, which find what a watch has lost.",
)
@click.option(
    "--image-registry",
    help="Registry that the built-in classes' images come from, in place of their own.",
)
@click.option(
    "--network-policies/--no-network-policies",
    default=True,
    show_default=True,
    help="Say by NetworkPolicies who connects to a model's pods; without, remove those made.",
)
@click.option(
    "--kuberay-peers",
    type=PeersType(),
    help="KubeRay's operator, as a JSON list of peers as in a NetworkPolicy. Default: pods with "
    "app.kubernetes.io/component=kuberay-operator in any namespace.",
)
@click.option(
    "--operator-peers",
    type=PeersType(),
    help="This operator itself, likewise. Default: pods with app.kubernetes.io/name=freehold in "
    "any namespace.",
)
@click.option(
    "--prometheus-peers",
    type=PeersType(),
    help="What reads the models' metrics, likewise. Default: pods with "
    "app.kubernetes.io/name=prometheus in any namespace.",
)
@click.option(
    "--client-peers",
    type=PeersType(),
    help="Who reaches every model's endpoint, whatever its spec.endpoint.allowedNamespaces, "
    "likewise. Default: nobody.",
)
@click.option(
    "--describe-image",
    help="The operator's own image: pods with it read the sources of models, with the models' own "
    "accounts and credentials. Without it only public hubs can be read, by the operator itself.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Ask no hub from here: pods read public models, too. Needs --describe-image.",
)
@click.option(
    "--gcs-redis-address",
    type=RedisAddressType(),
    help="Redis in which Ray clusters keep their state, as HOST:PORT, so that engines outlive a "
    "head that is replaced. It holds for what is rolled out from then on. Default: none.",
)
@click.option(
    "--gcs-redis-password-secret",
    type=SecretKeyType(),
    help="Entry of a Secret with its password, as NAME/KEY; each namespace with models has it.",
)
@click.option(
    "--log-format", type=click.Choice(logs.LOG_FORMATS), default="text", show_default=True
)
def operator(
    namespaces: tuple[str, ...],
    lease_namespace: str | None,
    install_key_file: Path,
    install_key_secret: str | None,
    no_leader_election: bool,
    pod_name: str | None,
    metrics_port: int,
    workers: int,
    relist_interval: float,
    image_registry: str | None,
    network_policies: bool,
    kuberay_peers: tuple[Peer, ...] | None,
    operator_peers: tuple[Peer, ...] | None,
    prometheus_peers: tuple[Peer, ...] | None,
    client_peers: tuple[Peer, ...] | None,
    describe_image: str | None,
    offline: bool,
    gcs_redis_address: str | None,
    gcs_redis_password_secret: SecretKey | None,
    log_format: Literal["json", "text"],
) -> None:
    """Look after the ModelDeployments of a cluster."""
    if lease_namespace is None and not no_leader_election:
        raise click.UsageError(
            "where is the lease? Give --lease-namespace, or --no-leader-election where no other "
            "operator can run."
        )
    if offline and describe_image is None:
        raise click.UsageError("--offline needs --describe-image: somebody must read the sources.")
    tolerance = _tolerance(gcs_redis_address, gcs_redis_password_secret)
    logs.configure(log_format)
    identity = new_identity(pod_name or socket.gethostname())
    given = {
        "kuberay": kuberay_peers,
        "freehold": operator_peers,
        "prometheus": prometheus_peers,
        "clients": client_peers,
    }
    peers = Peers(**{name: it for name, it in given.items() if it is not None})
    process = Process(
        settings=Settings(
            namespaces,
            workers,
            relist_interval,
            image_registry,
            peers=peers if network_policies else None,
            describe_image=describe_image,
            tolerance=tolerance,
            offline=offline,
            instance=identity,
        ),
        key_file=install_key_file,
        key_secret=install_key_secret,
        lease_namespace=None if no_leader_election else lease_namespace,
        identity=identity,
        metrics_port=metrics_port,
    )
    try:
        code = asyncio.run(process.run())
    except ConfigException as error:
        raise ClusterUnreachable(
            f"no cluster is configured ({error}); run it inside a cluster, or set KUBECONFIG"
        ) from error
    except Denied as error:
        raise ClusterUnreachable(
            f"{error}; give its service account the rights that Freehold's chart gives it"
        ) from error
    sys.exit(code)


def _tolerance(address: str | None, password: SecretKey | None) -> GcsFaultTolerance | None:
    if address is not None:
        return GcsFaultTolerance(address, password)
    if password is not None:
        raise click.UsageError(
            "--gcs-redis-password-secret needs --gcs-redis-address: the password of which Redis?"
        )
    return None
