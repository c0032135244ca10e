"""``freehold operator``: what its options refuse."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from tests.unit.cli.command_line import freehold

from freehold.cli.peers import PeersType
from freehold.cli.redis import RedisAddressType, SecretKeyType
from freehold.render.gcs_fault_tolerance import SecretKey

OPTIONS = ("--kuberay-peers", "--operator-peers", "--prometheus-peers", "--client-peers")
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


ADDRESS, PASSWORD = "--gcs-redis-address", "--gcs-redis-password-secret"
ADDRESSES = ("HOST:PORT", "redis.redis-system:6379")
ENTRIES = ("NAME/KEY", "redis/password")


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        *(
            (ADDRESS, value, ADDRESSES)
            for value in (
                *("", "redis", "redis:", ":6379", "redis:0", "redis:65536", "redis:06379"),
                *("redis:6379,other:6379", "redis://redis:6379", "-redis:6379", "re dis:6379"),
                f"{'a' * 64}:6379",
            )
        ),
        *(
            (PASSWORD, value, ENTRIES)
            for value in ("", "redis", "redis/", "/password", "redis/a/b", "Redis/a", "redis/..")
        ),
        (PASSWORD, f"redis/{'k' * 254}", ENTRIES),
    ],
)
def test_a_redis_that_is_none_is_refused(option: str, value: str, allowed: tuple[str, ...]) -> None:
    needed = ("--no-leader-election", "--install-key-file=key", f"{ADDRESS}=redis:6379")
    result = freehold("operator", *needed, f"{option}={value}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for '{option}': found {value!r}; allowed: " in result.stderr
    assert all(it in result.stderr for it in allowed)


def test_a_password_of_no_redis_is_refused() -> None:
    needed = ("--no-leader-election", "--install-key-file=key")
    result = freehold("operator", *needed, f"{PASSWORD}=redis/password")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{PASSWORD} needs {ADDRESS}" in result.stderr


@pytest.mark.parametrize("value", ["redis:6379", "redis.a.svc.cluster.local.:1", "10.0.0.7:65535"])
def test_an_address_stays_as_it_is_written(value: str) -> None:
    assert RedisAddressType().convert(value, None, None) == value


def test_an_entry_is_taken_apart() -> None:
    found = SecretKeyType().convert("redis.auth/PASSWORD_1", None, None)
    assert found == SecretKey("redis.auth", "PASSWORD_1")
