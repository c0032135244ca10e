"""Where the engine finds the weights of a source."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

# Volume claims appear under this folder in every pod of the model.
CLAIM_ROOT = "/mnt/models"
# The files of an image; no claim has this name, since a name begins with a letter or digit.
IMAGE_ROOT = f"{CLAIM_ROOT}/.image"
# Ray takes an Azure account by its host alone (``pyarrow_filesystem.py`` in Ray 2.60).
_AZURE = ".dfs.core.windows.net"


def weights_location(source: str) -> str:
    """Return what the engine is told for a source: a hub id, a path, or a bucket's URL.

    >>> weights_location("hf://meta-llama/Llama-3.1-8B")
    'meta-llama/Llama-3.1-8B'
    >>> weights_location("file:///srv/models/gemma")
    '/srv/models/gemma'
    >>> weights_location("pvc://weights/llama")
    '/mnt/models/weights/llama'
    >>> weights_location("oci://registry.example/models/llama:1")
    '/mnt/models/.image'
    >>> weights_location("abfss://models@account/llama")
    'abfss://models@account.dfs.core.windows.net/llama'
    """
    url = urlsplit(source)
    path = unquote(url.path)
    match url.scheme:
        case "hf":
            return f"{url.netloc}{path}".rstrip("/")
        case "file":
            return path.rstrip("/") or "/"
        case "pvc":
            return f"{CLAIM_ROOT}/{url.netloc}{path}".rstrip("/")
        case "oci":
            return IMAGE_ROOT
        case "abfss" if "." not in url.netloc.rpartition("@")[2]:
            return source.replace(url.netloc, url.netloc + _AZURE, 1)
    return source
