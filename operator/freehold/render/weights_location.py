"""Where the engine finds the weights of a source."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

# Volume claims appear under this folder in every pod of the model.
CLAIM_ROOT = "/mnt/models"


def weights_location(source: str) -> str:
    """Return what the engine is told for a source: a hub id, a path, or a bucket's URL.

    >>> weights_location("hf://meta-llama/Llama-3.1-8B")
    'meta-llama/Llama-3.1-8B'
    >>> weights_location("file:///srv/models/gemma")
    '/srv/models/gemma'
    >>> weights_location("pvc://weights/llama")
    '/mnt/models/weights/llama'
    """
    url = urlsplit(source)
    path = unquote(url.path)
    if url.scheme == "hf":
        return f"{url.netloc}{path}".rstrip("/")
    if url.scheme == "file":
        return path.rstrip("/") or "/"
    if url.scheme == "pvc":
        return f"{CLAIM_ROOT}/{url.netloc}{path}".rstrip("/")
    return source
