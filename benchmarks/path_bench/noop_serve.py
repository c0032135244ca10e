"""The no-op server as a Serve application."""

from __future__ import annotations

from ray import serve

from path_bench.noop import stream

server = serve.ingress(stream)(type("Noop", (), {}))
app = serve.deployment(max_ongoing_requests=100)(server).bind()
