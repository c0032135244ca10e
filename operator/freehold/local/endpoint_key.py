"""The key of an endpoint that other machines reach."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from freehold.api.modeldeployment import ModelDeployment
from freehold.errors import FreeholdError, ManifestInvalid
from freehold.local.machine import LOOPBACK

KEY_VARIABLE = "FREEHOLD_API_KEY"
_BYTES = 32
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """A key that all models of a run ask for.

    Attributes:
        value: The key.
        generated: Whether it was made for this run, so that nobody knows it yet.
    """

    value: str = field(repr=False)
    generated: bool


def endpoint_key(
    host: str, models: Iterable[ModelDeployment], environment: Mapping[str, str]
) -> EndpointKey | None:
    """Return the key of a run, or None where nothing is asked.

    On the loopback address only this machine's own users get so far. Elsewhere one model that asks
    is enough: all of them answer at one port.

    Raises:
        ManifestInvalid: The environment names something that is no key.
    """
    if host == LOOPBACK or not any(model.asks_for_key for model in models):
        return None
    given = environment.get(KEY_VARIABLE, "").strip()
    if not given:
        return EndpointKey(f"fh-{secrets.token_hex(_BYTES)}", generated=True)
    if not _KEY.fullmatch(given):
        raise ManifestInvalid(
            f"{KEY_VARIABLE} has a character that a header cannot carry; a key is letters, digits "
            "and punctuation of ASCII, without spaces"
        )
    return EndpointKey(given, generated=False)


def require_key(host: str, models: Iterable[ModelDeployment], key: EndpointKey | None) -> None:
    """Raise ``FreeholdError`` where a model asks for a key in a run that began without one."""
    asking = [model.name for model in models if model.asks_for_key]
    if host != LOOPBACK and key is None and asking:
        raise FreeholdError(
            f"{', '.join(asking)}: spec.endpoint.authentication asks for a key, and this run "
            "began without one. Stop it and start it again"
        )
