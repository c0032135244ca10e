"""A Redis as the value of options: where it is, and where its password stands."""

from __future__ import annotations

import re
from typing import Any

import click

from freehold.render.gcs_fault_tolerance import SecretKey

_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_MOST_HOST = 253
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_MOST_PORT = 65535
# As the API server takes the name of a Secret and of an entry.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY = re.compile(r"(?!\.\.?$)[-._a-zA-Z0-9]+")
_MOST_NAME = 253


class RedisAddressType(click.ParamType[str]):
    """``HOST:PORT`` of one Redis; the heads resolve the name, each in its own namespace."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address as it is written."""
        host, _, port = str(value).rpartition(":")
        known = _HOST.fullmatch(host) and len(host) <= _MOST_HOST
        if not (known and _PORT.fullmatch(port) and int(port) <= _MOST_PORT):
            self.fail(
                f"found {value!r}; allowed: HOST:PORT with a name or an IPv4 address and a port "
                "from 1 to 65535, such as redis.redis-system:6379",
                param,
                ctx,
            )
        return str(value)


class SecretKeyType(click.ParamType[SecretKey]):
    """``NAME/KEY`` of an entry of a Secret."""

    name = "name/key"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> SecretKey:
        """Return the entry's place."""
        name, _, key = str(value).partition("/")
        whole = _NAME.fullmatch(name) and _KEY.fullmatch(key)
        if not (whole and max(len(name), len(key)) <= _MOST_NAME):
            self.fail(
                f"found {value!r}; allowed: NAME/KEY, the name of a Secret and of an entry in it, "
                "such as redis/password",
                param,
                ctx,
            )
        return SecretKey(name, key)
