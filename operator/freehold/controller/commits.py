"""What a branch or tag of the hub means, so that a rollout can be held to that commit."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field

from freehold.api.faults import Cause
from freehold.api.modeldeployment import ModelSource
from freehold.sources.hub import commit_of

# How long an answer stands, and how long the hub is left alone when it gave none: a thousand models
# that come at once ask for each branch once.
_STANDS_S = 60.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
# A repository and a branch or tag of it.
_Branch = tuple[str, str | None]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Commits:
    """Asks the hub, of each branch once in a while."""

    _answers: dict[_Branch, tuple[float, asyncio.Future[str | None]]] = field(default_factory=dict)
    _silent_until: float = 0.0

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
        branch, now = (repository, source.revision), asyncio.get_running_loop().time()
        known = self._answers.get(branch)
        if known is None or now > known[0] + _STANDS_S:
            self._drop_what_stands_no_more(now)
            known = self._answers[branch] = now, asyncio.ensure_future(self._ask(*branch))
        return await asyncio.shield(known[1])

    def _drop_what_stands_no_more(self, now: float) -> None:
        for branch in [it for it, (at, _) in self._answers.items() if now > at + _STANDS_S]:
            del self._answers[branch]

    async def _ask(self, repository: str, revision: str | None) -> str | None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._silent_until:
            return None
        found = await asyncio.to_thread(commit_of, repository, revision)
        if isinstance(found, str):
            return found
        if found.cause is Cause.UNREACHABLE:
            self._silent_until = loop.time() + _STANDS_S
        _log.warning("the commit of %s is not known: %s", repository, found)
        return None
