"""The two ways of a request to the engine, and what each needs of a Serve config.

Direct: HAProxy hands the request to the replica, whose engine answers it itself. What waits, waits
in the engine, and counts as ongoing. Stock: Serve's proxy, an ingress replica and a handle pass it
on; what waits, waits in the handle. Measured in ``docs/design/20261122-request-path.md``.
"""

from __future__ import annotations

from typing import Any, Literal

RequestPath = Literal["direct", "stock"]

# Requests that may wait beyond those that run, before callers are told to come back later.
_QUEUE_FACTOR = 16
_LEAST_QUEUE = 256
# The deployments in front of the engine only pass on; nothing may wait in them.
_UNHINDERED = 100_000

# A body beyond is handed on all the same, but not a second time. A request that waits holds one
# such buffer. A prompt of 60,000 tokens of English fits.
_REPLAYED_BYTES = 256 * 1024

# On every process of a Ray that serves directly. The stop is hard for whatever still waits for a
# cold start or still streams when any replica comes or goes, so it lies beyond both. A request
# whose replica ends before it answers goes to another one: to be begun twice does it no harm.
# For that HAProxy must have found out who is gone, or it tries the same one three times, and must
# have had the whole body before it sent any of it (``sc_conn_send`` of HAProxy 2.8 keeps a copy of
# no other); it waits for one only where Serve's router is to see it too.
DIRECT_ENVIRONMENT = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "7200",
    "RAY_SERVE_HAPROXY_INGRESS_REQUEST_ROUTER_TIMEOUT_S": "3600",
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "2s",
    "RAY_SERVE_INGRESS_REQUEST_ROUTER_FORWARD_BODY": "1",
    "RAY_SERVE_HAPROXY_INGRESS_REQUEST_ROUTER_BUFSIZE": str(_REPLAYED_BYTES),
}
# On the processes of an application alone: Serve's own have none of our code. Where a proxy of
# Serve's reads the headers, as on the stock path, an application is too late to take any off.
_OF_AN_APPLICATION: dict[RequestPath, dict[str, str]] = {
    "direct": {
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "freehold.serving.ray_http:middlewares"
    },
    # A Ray of somebody else may have either setting; an application can only be sure of this one.
    "stock": {"RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "0"},
}


def application_environment(path: RequestPath) -> dict[str, str]:
    """Return the environment of an application's own processes."""
    return dict(_OF_AN_APPLICATION[path])


def queue_limit(concurrency: int) -> int:
    """Return the requests that may wait for a replica that runs ``concurrency``."""
    return max(_LEAST_QUEUE, _QUEUE_FACTOR * concurrency)


def admission(path: RequestPath, concurrency: int) -> dict[str, Any]:
    """Return how many requests a replica takes, and what happens to those beyond.

    Directly, a request that waits for a slot of Serve's is invisible to the autoscaler, so the
    slots hold the engine's queue too; through the stock ingress Serve's own queue is the place.
    """
    limit = queue_limit(concurrency)
    ongoing = concurrency + limit if path == "direct" else concurrency
    return {
        "max_ongoing_requests": ongoing,
        "max_queued_requests": limit,
        "backpressure_config": {"status_code": 429, "retry_after_s": 5},
    }


def front_deployment(path: RequestPath) -> dict[str, Any]:
    """Return the override of the deployment in front of the engine: one replica, never at zero.

    The builder gives the stock ingress a target of 1e9 requests and one replica; both are written
    out, since a block here replaces the builder's whole.
    """
    if path == "direct":
        return {"name": "LLMRouter", "max_ongoing_requests": _UNHINDERED}
    scaling = {
        "min_replicas": 1,
        "initial_replicas": 1,
        "max_replicas": 1,
        "target_ongoing_requests": _UNHINDERED,
    }
    return {
        "name": "OpenAiIngress",
        "max_ongoing_requests": _UNHINDERED,
        "autoscaling_config": scaling,
    }
