"""Peers as a NetworkPolicy names them, for settings of an installation."""

from __future__ import annotations

import ipaddress
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from freehold.api.base import ApiModel, Rule
from freehold.api.modeldeployment import LabelSelector


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        value = ""
    if "/" not in value:
        raise PydanticCustomError("format", "addresses such as 10.0.0.0/8 or fd00::/8")
    return value


Network = Annotated[str, AfterValidator(_network)]


class IPBlock(ApiModel):
    """Addresses outside of what selectors of pods can name."""

    cidr: Network = Field(description="Addresses, such as 10.0.0.0/8.")
    except_: tuple[Network, ...] | None = Field(
        default=None, alias="except", description="Addresses within that are left out."
    )


class NetworkPeer(ApiModel):
    """Who connects: pods by their labels and those of their namespaces, or addresses."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "",
            "podSelector, namespaceSelector or both; or ipBlock alone",
            "",  # no kind has it
            lambda p: (
                (p.ip_block is not None)
                != (p.pod_selector is not None or p.namespace_selector is not None)
            ),
        ),
    )

    pod_selector: LabelSelector | None = Field(
        default=None,
        description="Labels of the pods; without namespaceSelector those of the model's namespace.",
    )
    namespace_selector: LabelSelector | None = Field(
        default=None, description="Labels of their namespaces; {} for every namespace."
    )
    ip_block: IPBlock | None = Field(default=None, description="Addresses.")


class NetworkPeers(ApiModel):
    """The peers of one rule."""

    from_: tuple[NetworkPeer, ...] = Field(alias="from", max_length=64, description="Any of them.")
