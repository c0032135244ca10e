"""Leader election by a Lease: two operators never write at once.

The rules are those of client-go's ``leaderelection`` package, in three points stricter. The
official Python client has an elector too (``kubernetes.aio.leaderelection``, read in version 37),
but it judges leases by the wall clock, lets its leader work on while its renewals fail or hang,
cancels it late, and never gives a lease back.

- *Clocks.* The times in a Lease are written for people and never compared. Who waits sees the
  object's resource version change and times its holder from then on, with a clock of its own;
  two operators may be hours apart. Only the pace of both clocks must agree, to a third.
- *Fence.* ``remaining()`` says for how long this process surely leads: ``renew_deadline`` from when
  the last renewal that succeeded was *sent*. Others wait for ``lease_duration``, which is longer,
  from when they *saw* that renewal. A writer asks before each request and lets none run longer. The
  difference of the two is left for a request that is already in the API server, and for a process
  that is stopped between asking and sending.
- *Deletion.* A Lease that somebody deletes counts as renewed then: who saw it before does not take
  it until its time has run out.

Hand-over, to which the time of the requests is added:

==============================  ===================================  ==============
what happens to the leader      until another one leads              by default
==============================  ===================================  ==============
it ends and gives the lease up  retry_period                         2 s
it is killed, or cut off        lease_duration + retry_period        17 s
killed, and nobody waited       lease_duration from the start        15 s
==============================  ===================================  ==============
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol

from freehold.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, Transient
from freehold.kube.resources import LEASES, Resource

logger = logging.getLogger(__name__)

Object = dict[str, Any]

# Those who wait spread their requests over this share of the retry period.
_JITTER = 0.2
# Rounding may leave a nanosecond to wait, for ever.
_SHORTEST_SLEEP = 0.01
_NEVER = float("-inf")
# Goes on while the machine sleeps, where the system has such a clock; time.monotonic() may not.
_CLOCK_ID = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseClient(Protocol):
    """What the elector needs of ``KubeClient``.

    It must be one without the fence, and not the one that writes models: a renewal must not stand
    in a queue behind them.
    """

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Return the Lease; ``NotFound`` when there is none."""

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create the Lease; ``AlreadyExists`` when another was first."""

    async def replace(self, resource: Resource, body: Object) -> Object:
        """Replace the Lease; ``Conflict`` when it changed since it was read."""


class LeaseLost(Exception):
    """This process does not lead any more, and must end: what it knows may be old."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """How long things take, in seconds; the defaults are Kubernetes's own.

    Attributes:
        lease_duration: Whole seconds that others wait after the last renewal they saw.
        renew_deadline: For how long the leader goes on without a renewal that succeeds.
        retry_period: Between two renewals, and between two looks of those who wait.
    """

    lease_duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: Others would take over from a leader that still writes, or a leader would
                have no second try.
        """
        if not self.lease_duration > self.renew_deadline:
            raise ValueError("lease_duration must be longer than renew_deadline")
        if not self.renew_deadline >= 2 * self.retry_period > 0:
            raise ValueError("renew_deadline must hold two retry periods, which are above zero")

    @property
    def request_timeout(self) -> float:
        """Return how long one try may take: a request that hangs leaves time for another."""
        return self.renew_deadline / 2


@dataclass(frozen=True, slots=True)
class _Sight:
    """The Lease as last seen.

    Attributes:
        lease: The object; None when there is none.
        holder: Whom it names, or named when it was deleted; "" for nobody.
        duration: Seconds that its holder asks others to wait.
        since: When its present resource version was first seen, by our clock.
    """

    lease: Object | None
    holder: str
    duration: float
    since: float


def boot_time() -> float:
    """Return seconds of a clock that is never set and does not stop."""
    return time.clock_gettime(_CLOCK_ID)


def new_identity(pod: str) -> str:
    """Return a holder's name that no other process ever has, not even one of the same pod."""
    return f"{pod}_{secrets.token_hex(4)}"


class LeaderElector:
    """Takes the Lease, keeps it, gives it back.

    ``acquire()``, then ``renew()`` as a task beside the work; when that raises, the process ends.
    At the end of the work, ``release()``.
    """

    def __init__(
        self,
        client: LeaseClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: LeaseTiming | None = None,
        clock: Callable[[], float] = boot_time,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Hold nothing yet.

        Args:
            client: Reads and writes the Lease; see ``LeaseClient``.
            namespace: Where the Lease lives.
            name: The Lease's name.
            identity: Ours, see ``new_identity``.
            timing: None for the defaults.
            clock: Seconds, never set and never stopped.
            wall_clock: What is written into the Lease for people to read.
            chance: A number between 0 and 1, for the jitter.
        """
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing or LeaseTiming()
        self._clock = clock
        self._wall_clock = wall_clock
        self._chance = chance
        self._sight: _Sight | None = None
        self._held_until = _NEVER
        self._told = ""

    @property
    def identity(self) -> str:
        """Return our own name in the Lease."""
        return self._identity

    @property
    def holder(self) -> str:
        """Return whom the Lease named when it was last seen; "" for nobody."""
        return self._sight.holder if self._sight else ""

    def remaining(self) -> float:
        """Return for how many seconds this process surely leads; 0.0 when it must not write."""
        return max(0.0, self._held_until - self._clock())

    async def acquire(self) -> None:
        """Wait until this process leads, however long; errors are logged and tried again."""
        while True:
            await self._try(self._timing.request_timeout)
            if self.remaining() > 0:
                logger.info("leading: holds the lease %s as %s", self._lease_name, self._identity)
                return
            await self._sleep(self._until_free() or self._timing.retry_period)

    async def renew(self) -> NoReturn:
        """Keep the Lease until it is lost.

        Raises:
            LeaseLost: Another one has it, or no renewal succeeded in time.
        """
        while (left := self.remaining()) > 0:
            await self._sleep(left)
            left = self.remaining()
            if left > 0:
                await self._try(min(left, self._timing.request_timeout))
        other = self.holder if self.holder != self._identity else ""
        why = f"{other} holds it" if other else "it could not be renewed in time"
        raise LeaseLost(f"the lease {self._lease_name} is lost: {why}")

    async def release(self) -> None:
        """Give the Lease up, if it names us, so that another one need not wait.

        Call it when ``renew()`` is cancelled and every write has been answered; from here on
        ``remaining()`` is 0.0. A Lease that ran out on us is left alone: what the fence cut off
        then may still be carried out. Where the API server does not answer, it runs out too.
        """
        ran_out = self._held_until != _NEVER and self.remaining() == 0
        self._held_until = _NEVER
        if ran_out:
            return
        try:
            async with asyncio.timeout(self._timing.request_timeout):
                while not await self._gave_up():
                    pass
        except (KubeError, TimeoutError) as error:
            logger.warning("the lease %s is left to run out: %s", self._lease_name, _text(error))

    async def _gave_up(self) -> bool:
        """Give the Lease up once; return False when it changed meanwhile."""
        await self._observe()
        sight = self._sight
        if sight is None or sight.lease is None or sight.holder != self._identity:
            return True
        try:
            await self._client.replace(LEASES, self._without_holder(sight.lease))
        except Conflict:
            return False
        logger.info("gave up the lease %s", self._lease_name)
        return True

    @property
    def _lease_name(self) -> str:
        return f"{self._namespace}/{self._name}"

    async def _sleep(self, at_most: float) -> None:
        pause = self._timing.retry_period * (1 - _JITTER * self._chance())
        await asyncio.sleep(max(_SHORTEST_SLEEP, min(pause, at_most)))

    async def _try(self, seconds: float) -> None:
        """Take or renew the Lease once, if it is free or ours."""
        try:
            async with asyncio.timeout(seconds):
                await self._attempt()
        except (AlreadyExists, Conflict) as error:
            logger.debug("another was first at the lease %s: %s", self._lease_name, error)
        except (KubeError, TimeoutError) as error:
            self._tell(logging.WARNING, f"the lease {self._lease_name}: {_text(error)}")

    async def _attempt(self) -> None:
        if self.remaining() > 0:
            try:
                return await self._write()
            except (AlreadyExists, Conflict, NotFound):
                # Another writer, or a renewal of ours whose answer never came: look, then judge.
                pass
        await self._observe()
        if self._until_free() <= 0:
            return await self._write()
        self._held_until = _NEVER
        self._tell(logging.INFO, f"waiting: {self.holder} holds the lease {self._lease_name}")

    async def _observe(self) -> None:
        """Read the Lease; the time of its holder begins anew when it changed."""
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
        except NotFound:
            self._see_none()
        else:
            self._see(lease)

    def _see(self, lease: Object) -> None:
        before = self._sight
        if before and before.lease and _version(before.lease) == _version(lease):
            return
        spec = lease.get("spec") or {}
        duration = spec.get("leaseDurationSeconds") or self._timing.lease_duration
        self._sight = _Sight(lease, spec.get("holderIdentity") or "", duration, self._clock())

    def _see_none(self) -> None:
        """Count a deletion as a change: its holder may have renewed just before."""
        before = self._sight
        if before and before.lease:
            self._sight = _Sight(None, before.holder, before.duration, self._clock())

    def _until_free(self) -> float:
        """Return seconds until the Lease may be taken, as far as is known; 0.0 when it is ours."""
        sight = self._sight
        if sight is None or sight.holder in ("", self._identity):
            return 0.0
        return max(0.0, sight.since + sight.duration - self._clock())

    async def _write(self) -> None:
        """Write ourselves into the Lease that was last seen.

        Raises:
            Conflict: It changed since.
            AlreadyExists: Another one created it.
        """
        known = self._sight.lease if self._sight else None
        sent = self._clock()
        if known is None:
            lease = await self._client.create(LEASES, self._with_holder(self._empty()))
        else:
            lease = await self._client.replace(LEASES, self._with_holder(known))
        self._see(lease)
        self._held_until = sent + self._timing.renew_deadline
        self._told = ""

    def _empty(self) -> Object:
        metadata = {"namespace": self._namespace, "name": self._name}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}

    def _with_holder(self, lease: Object) -> Object:
        body = copy.deepcopy(lease)
        spec = body.setdefault("spec", {})
        now = self._written_time()
        if spec.get("holderIdentity") != self._identity:
            spec["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + bool(spec)
            spec["acquireTime"] = now
        spec["holderIdentity"] = self._identity
        spec["leaseDurationSeconds"] = self._timing.lease_duration
        spec["renewTime"] = now
        return body

    def _without_holder(self, lease: Object) -> Object:
        body = copy.deepcopy(lease)
        del body["spec"]["holderIdentity"]
        body["spec"]["renewTime"] = self._written_time()
        return body

    def _written_time(self) -> str:
        return self._wall_clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _tell(self, level: int, what: str) -> None:
        """Log a state once, not at every try."""
        if what != self._told:
            logger.log(level, "%s", what)
        self._told = what


def _version(lease: Object) -> tuple[str, str]:
    metadata = lease.get("metadata") or {}
    if "resourceVersion" not in metadata:
        raise Transient("the API server's answer is no Lease")
    return metadata.get("uid", ""), metadata["resourceVersion"]


def _text(error: Exception) -> str:
    return str(error) or "no answer in time"
