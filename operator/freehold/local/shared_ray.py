"""A Ray cluster that runs already and serves others, too."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from freehold.errors import RayUnavailable
from freehold.local.serve_rest import ServeRest
from freehold.local.session import Session
from freehold.serving_archive import serving_archive

# Ray's own name for a package, so that its clean-up treats ours like any other.
_PACKAGE = "_ray_pkg_{digest}.zip"
_LOCAL_DASHBOARD = "http://127.0.0.1:8265"
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}")
REMOVE_SECONDS = 60.0
_REMOVE_PAUSE_SECONDS = 2.0


def ray_token() -> str | None:
    """Return Ray's token from where Ray itself looks for it; None if there is none."""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def dashboard_url(address: str) -> str:
    """Return the address of a dashboard as it was given.

    Raises:
        ValueError: With a sentence, when it is no HTTP URL.
    """
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        right = f"http://{address}" if _HOST_AND_PORT.fullmatch(address) else _LOCAL_DASHBOARD
        raise ValueError(f"{address!r} is no URL of a Ray dashboard; write {right}")
    return address


def endpoint_of(details: Mapping[str, Any], address: str) -> str:
    """Return the base URL at which the cluster's Serve answers.

    Raises:
        RayUnavailable: When its proxies are switched off.
    """
    if details.get("proxy_location") == "Disabled":
        raise RayUnavailable("this Ray serves no HTTP (proxy_location is Disabled)")
    options = details.get("http_options") or {}
    host = urlsplit(address).hostname or "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    root = (options.get("root_path") or "").rstrip("/")
    return f"http://{host}:{options.get('port') or 8000}{root}"


def take_off(
    session: Session,
    rest: ServeRest,
    names: Collection[str],
    stop: threading.Event,
    say: Callable[[str], None],
) -> str:
    """Take our applications off the Ray, for a minute again where it cannot be done now.

    An application of somebody else that is being deleted, or a dashboard that starts anew, stands
    in the way for seconds; to go at the first refusal would leave our models there for good.

    Args:
        session: Knows our applications.
        rest: The Ray's REST API.
        names: What they are called.
        stop: Set anew when the user does not want to wait.
        say: Takes a sentence for the user.

    Returns:
        "" when they are gone, else which stay, why, and how to remove them.
    """
    end = time.monotonic() + REMOVE_SECONDS
    told = False
    stop.clear()
    while True:
        try:
            session.remove_ours()
            return ""
        except RayUnavailable as error:
            if stop.is_set() or time.monotonic() >= end:
                return _left_behind(rest, names, error)
            if not told:
                say(
                    f"our models cannot be removed yet ({error}); trying again for "
                    f"{REMOVE_SECONDS:.0f} s, Ctrl-C gives up"
                )
                told = True
        stop.wait(_REMOVE_PAUSE_SECONDS)


def _left_behind(rest: ServeRest, names: Collection[str], error: RayUnavailable) -> str:
    try:
        there = set(rest.details().get("applications") or {})
    except RayUnavailable:
        there = set(names)
    stay = ", ".join(sorted(there & set(names)) or sorted(names))
    return (
        f"these applications of ours stay on the Ray at {rest.address} and go on serving: {stay} "
        f"({error}); to remove them, write down with `serve config -a {rest.address}` what runs, "
        f"and `serve deploy -a {rest.address} FILE` with a config that lists every other "
        f"application, or PUT that to {rest.address}/api/serve/applications/"
    )


def own_code_uri() -> str:
    """Return the URI of our code in a cluster.

    The name carries the digest of the content: another release is another archive, and an engine
    keeps the one that it began with.
    """
    return f"gcs://{_package_name(serving_archive())}"


def send_our_code(rest: ServeRest) -> None:
    """Store the code that runs beside the engine in the cluster, where ``own_code_uri`` says."""
    archive = serving_archive()
    rest.upload(_package_name(archive), archive)


def _package_name(archive: bytes) -> str:
    return _PACKAGE.format(digest=hashlib.sha256(archive).hexdigest()[:40])
