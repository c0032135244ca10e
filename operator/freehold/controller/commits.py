"""What a branch or tag of the hub means, so that a rollout can be held to that commit."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field

from freehold.api.faults import Cause
from freehold.api.modeldeployment import ModelSource
from freehold.sources.hub import commit_of

# After the hub could not be reached, no model waits for it again within this time.
_PAUSE_S = 60.0
_COMMIT = re.compile(r"[0-9a-f]{40}")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Commits:
    """Asks the hub, and leaves it alone for a while when it does not answer."""

    _silent_until: float = field(default=0.0)

    async def commit_of(self, source: ModelSource) -> str | None:
        """Return the commit that the source's revision means now.

        None where the source knows no commits, or the hub does not tell: then the engine is given
        the revision as it was written.
        """
        scheme, _, repository = source.source.partition("://")
        if scheme != "hf":
            return None
        if source.revision is not None and _COMMIT.fullmatch(source.revision):
            return source.revision
        now = asyncio.get_running_loop().time()
        if now < self._silent_until:
            return None
        found = await asyncio.to_thread(commit_of, repository, source.revision)
        if isinstance(found, str):
            return found
        if found.cause is Cause.UNREACHABLE:
            self._silent_until = now + _PAUSE_S
        _log.warning("the commit of %s is not known: %s", repository, found)
        return None
