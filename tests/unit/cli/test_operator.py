"""``freehold operator``: what its options refuse."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from tests.unit.cli.command_line import freehold

from freehold.cli.peers import PeersType

OPTIONS = ("--kuberay-peers", "--operator-peers", "--prometheus-peers")
SELECTOR = "podSelector, namespaceSelector or both; or ipBlock alone"
REFUSED = {
    "no JSON": ("namespace=a", "found no JSON"),
    "too deep": ("[" * 100_000, "found no JSON"),
    "no list": ({"podSelector": {}}, 'from: found {"podSelector": {}}; allowed: a list'),
    "nothing": (None, "from: found nothing; allowed: a value"),
    "a number": ([7], "from[0]: found 7; allowed: a mapping"),
    "everybody": ([{}], f"from[0]: found {{}}; allowed: {SELECTOR}"),
    "a typo": ([{"podSelectr": {}}], "Did you mean podSelector"),
    "addresses and labels": (
        [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}],
        f"allowed: {SELECTOR}",
    ),
    "addresses that are none": (
        [{"ipBlock": {"cidr": "10.0.0.256/8"}}],
        'from[0].ipBlock.cidr: found "10.0.0.256/8"; allowed: addresses such as 10.0.0.0/8',
    ),
    "an address": (
        [{"ipBlock": {"cidr": "::/0", "except": ["::1"]}}],
        'from[0].ipBlock.except[0]: found "::1"; allowed: addresses such as',
    ),
    "one of no values": (
        [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}],
        "from[0].podSelector.matchExpressions[0].values: found nothing; allowed: one or more",
    ),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(("value", "sentence"), REFUSED.values(), ids=REFUSED)
def test_peers_that_are_none_are_refused(option: str, value: Any, sentence: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    needed = ("--no-leader-election", "--install-key-file=key")
    result = freehold("operator", *needed, f"{option}={text}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for '{option}': " in result.stderr
    assert sentence in result.stderr


def test_every_fault_of_the_peers_is_told() -> None:
    with pytest.raises(click.BadParameter) as refused:
        PeersType().convert('[{"podSelectr": {}}, {}, 3]', None, None)
    assert [line.split(":")[0] for line in str(refused.value.message).splitlines()] == [
        "from[0].podSelectr",
        "from[2]",
        "from[1]",
    ]


@pytest.mark.parametrize(
    "peers",
    [
        [],
        [{"namespaceSelector": {}}],
        [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}],
        [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}, {"podSelector": {}}],
        [{"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}],
    ],
)
def test_peers_stay_as_they_are_written(peers: list[Any]) -> None:
    assert PeersType().convert(json.dumps(peers), None, None) == (*peers,)
