"""What the API server says to many manifests, each created by a kubectl of its own."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.control_plane.cluster import Cluster

AT_ONCE = 4


def refusals(
    cluster: Cluster, namespace: str, texts: Mapping[str, str], *options: str
) -> dict[str, str]:
    """Create what each text holds, and return what kubectl said, "" where all was created.

    Args:
        cluster: Where.
        namespace: For what names none.
        texts: Manifests, each under a name of the caller's.
        options: Further options, such as ``--dry-run=server``.
    """

    def refusal(text: str) -> str:
        command = ("create", f"--namespace={namespace}", "--filename=-", *options)
        done = cluster.run("kubectl", *command, stdin=text)
        return done.stderr.strip() if done.returncode else ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(texts, pool.map(refusal, texts.values()), strict=True))
