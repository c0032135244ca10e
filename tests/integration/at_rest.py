"""Whether an operator comes to rest: it looks at its models and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.control_plane.cluster import Cluster
from tests.faulty_api import FaultyApi
from tests.integration.harness import objects_list
from tests.integration.models import PASSES
from tests.integration.operator import Operator, until


def comes_to_rest(
    cluster: Cluster,
    operator: Operator,
    api: FaultyApi,
    client: str,
    models: Iterable[Mapping[str, Any]],
) -> None:
    """Wait until the operator looks at all models and writes nothing.

    A status of which the words alone changed may still come, once; writing in turn never ends.

    Args:
        cluster: The cluster.
        operator: The operator.
        api: Its way to the API server.
        client: Its name there.
        models: Its models.
    """
    known = list(models)
    all_models = objects_list(known)

    def writes() -> int:
        return len(api.journal.writes(client=client, path=r"^(?!.*/leases)"))

    def a_quiet_round() -> bool:
        before, passes = writes(), operator.metric(PASSES)
        cluster.kubectl("annotate", "-f-", f"look=at-{passes}", "--overwrite", stdin=all_models)
        until("all are looked at", lambda: operator.metric(PASSES) >= passes + len(known))
        return writes() == before

    until("a round without a write", a_quiet_round)
