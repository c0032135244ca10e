"""Runs a command in a pod and returns what it says."""

from __future__ import annotations

import aiohttp
from kubernetes.aio.client import CoreV1Api
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.stream import WsApiClient

from freehold.kube.errors import Transient, error_of


async def output_of(
    configuration: Configuration, namespace: str, pod: str, container: str, command: list[str]
) -> str:
    """Return what a command says on both of its outputs.

    Args:
        configuration: Address and credentials.
        namespace: Of the pod.
        pod: Its name.
        container: Where to run it.
        command: The command and its arguments.

    Raises:
        KubeError: It was not run.
    """
    async with WsApiClient(configuration) as client:
        try:
            return str(
                await CoreV1Api(client).connect_get_namespaced_pod_exec(
                    pod,
                    namespace,
                    container=container,
                    command=command,
                    stdout=True,
                    stderr=True,
                    stdin=False,
                    tty=False,
                )
            )
        except aiohttp.WSServerHandshakeError as error:
            raise error_of(error.status, error.message.encode(), None) from error
        except ApiException as error:
            raise error_of(error.status or 0, str(error.body).encode(), None) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"the pod {pod} cannot be asked: {error}") from error
