"""The load of each model out of Ray's Prometheus text."""

from __future__ import annotations

import pytest
from tests.unit.local.http_fakes import FakeServer, listening

from freehold.local.machine import free_ports
from freehold.local.metrics import ModelLoad, parse_metrics, read_metrics

COMMON = 'Component="core_worker",NodeAddress="127.0.0.1",SessionName="session_1",Version="2.60.0"'
TEXT = f"""# HELP ray_vllm_num_requests_running Number of requests in model execution batches.
# TYPE ray_vllm_num_requests_running gauge
ray_vllm_num_requests_running{{{COMMON},WorkerId="a1",engine="0",model_name="org/chat"}} 3.0
ray_vllm_num_requests_running{{{COMMON},WorkerId="b2",engine="0",model_name="org/chat"}} 2.0
ray_vllm_num_requests_running{{{COMMON},WorkerId="c3",engine="0",model_name="guard"}} 0.0
# HELP ray_vllm_num_requests_waiting Number of requests waiting to be processed.
# TYPE ray_vllm_num_requests_waiting gauge
ray_vllm_num_requests_waiting{{{COMMON},WorkerId="a1",engine="0",model_name="org/chat"}} 7.0
# HELP ray_vllm_generation_tokens_total Number of generation tokens processed.
# TYPE ray_vllm_generation_tokens_total counter
ray_vllm_generation_tokens_total{{{COMMON},WorkerId="a1",engine="0",model_name="org/chat"}} 1.5e+06
ray_vllm_generation_tokens_total{{{COMMON},WorkerId="c3",engine="0",model_name="guard"}} 12.0
# HELP ray_vllm_time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE ray_vllm_time_to_first_token_seconds histogram
ray_vllm_time_to_first_token_seconds_bucket{{{COMMON},le="0.5",model_name="org/chat"}} 4.0
ray_vllm_time_to_first_token_seconds_bucket{{{COMMON},le="+Inf",model_name="org/chat"}} 5.0
ray_vllm_time_to_first_token_seconds_count{{{COMMON},model_name="org/chat"}} 5.0
ray_vllm_time_to_first_token_seconds_sum{{{COMMON},model_name="org/chat"}} 1.25
# HELP ray_serve_replica_processing_queries The current number of queries being processed.
# TYPE ray_serve_replica_processing_queries gauge
ray_serve_replica_processing_queries{{{COMMON},application="chat",replica="xyz"}} 3.0
"""


def test_engines_of_a_model_are_added_up() -> None:
    assert parse_metrics(TEXT) == {
        "org/chat": ModelLoad(running=5.0, waiting=7.0, generated=1.5e6),
        "guard": ModelLoad(running=0.0, waiting=0.0, generated=12.0),
    }


def test_text_without_engines_holds_no_load() -> None:
    assert parse_metrics("") == {}
    assert parse_metrics("# TYPE ray_node_cpu_count gauge\nray_node_cpu_count 2.0\n") == {}


def test_the_endpoint_is_read() -> None:
    with listening(FakeServer({("GET", "/metrics"): (200, TEXT)})) as ray:
        assert read_metrics(ray.url)["guard"].generated == 12.0


def test_an_endpoint_that_cannot_be_reached_tells_nothing() -> None:
    (port,) = free_ports("127.0.0.1", 1)
    assert read_metrics(f"http://127.0.0.1:{port}") == {}


@pytest.mark.parametrize("answer", [(500, TEXT), (404, ""), (200, 'ray_x{a="b} not a number\n')])
def test_an_endpoint_that_fails_or_talks_nonsense_tells_nothing(answer: tuple[int, str]) -> None:
    with listening(FakeServer({("GET", "/metrics"): answer})) as ray:
        assert read_metrics(ray.url) == {}
