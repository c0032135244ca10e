"""Peers of NetworkPolicies as the value of an option."""

from __future__ import annotations

import json
from typing import Any

import click

from freehold.api.manifest import parse_part
from freehold.api.network_peer import NetworkPeers
from freehold.render.network_policies import Peer

_EXAMPLE = '[{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "prometheus"}}}]'


class PeersType(click.ParamType[tuple[Peer, ...]]):
    """A JSON list of what stands under ``from`` in a NetworkPolicy; an empty one is nobody."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Peer, ...]:
        """Return the peers; fails with every fault of them."""
        try:
            listed = json.loads(value)
        except (ValueError, RecursionError) as error:
            self.fail(f"found no JSON ({error}); allowed: a list such as {_EXAMPLE}", param, ctx)
        found = parse_part(NetworkPeers, {"from": listed})
        if isinstance(found, tuple):
            self.fail("\n".join(str(fault) for fault in found), param, ctx)
        peers: list[Peer] = found.to_dict()["from"]
        return tuple(peers)
