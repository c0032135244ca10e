"""A Ray cluster that runs already and serves others, too."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import freehold.serving
from freehold.errors import RayUnavailable
from freehold.local.serve_rest import ServeRest

# Ray's own name for a package, so that its clean-up treats ours like any other.
_PACKAGE = "_ray_pkg_{digest}.zip"
# The same bytes for the same code: ZIP stores a time with every file.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def ray_token() -> str | None:
    """Return Ray's token from where Ray itself looks for it; None if there is none."""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


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


def own_code_uri() -> str:
    """Return the URI of our code in a cluster.

    The name carries the digest of the content: another release is another archive, and an engine
    keeps the one that it began with.
    """
    return f"gcs://{_package_name(own_code_archive())}"


def send_our_code(rest: ServeRest) -> None:
    """Store the code that runs beside the engine in the cluster, where ``own_code_uri`` says."""
    archive = own_code_archive()
    rest.upload(_package_name(archive), archive)


def _package_name(archive: bytes) -> str:
    return _PACKAGE.format(digest=hashlib.sha256(archive).hexdigest()[:40])


def own_code_archive() -> bytes:
    """Return a ZIP with the packages ``freehold`` and ``freehold.serving``, always the same bytes.

    Ray unpacks ``py_modules`` so that the one folder at the top is the module.
    """
    folder = Path(next(iter(freehold.serving.__path__)))
    files = {"freehold/__init__.py": folder.parent / "__init__.py"}
    files |= {f"freehold/serving/{path.name}": path for path in sorted(folder.glob("*.py"))}
    buffer = io.BytesIO()
    # stored, not deflated: compressors differ from one machine to the next
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), path.read_bytes())
    return buffer.getvalue()
