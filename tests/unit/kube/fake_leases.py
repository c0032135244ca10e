"""A fake API server that holds Leases, the network to it, and processes that can be stopped."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from freehold.kube.errors import AlreadyExists, Conflict, NotFound, Transient
from freehold.kube.lease import LeaderElector, LeaseLost, LeaseTiming
from freehold.kube.resources import Resource

NAMESPACE, NAME = "freehold", "freehold-operator"
Object = dict[str, Any]


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


class FakeLeases:
    """Keeps one Lease with optimistic concurrency, as the API server does.

    Attributes:
        lease: What it holds; None before it is created.
    """

    def __init__(self) -> None:
        self.lease: Object | None = None
        self._version = 0

    def get(self) -> Object:
        if self.lease is None:
            raise NotFound("no such lease")
        return copy.deepcopy(self.lease)

    def create(self, body: Object) -> Object:
        if self.lease is not None:
            raise AlreadyExists("the lease exists")
        return self._store(body, uid=f"uid-{self._version}")

    def replace(self, body: Object) -> Object:
        if self.lease is None:
            raise NotFound("no such lease")
        meta = self.lease["metadata"]
        if body["metadata"].get("resourceVersion") != meta["resourceVersion"]:
            raise Conflict("the lease has been modified")
        return self._store(body, uid=meta["uid"])

    def _store(self, body: Object, uid: str) -> Object:
        self._version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"] |= {"uid": uid, "resourceVersion": str(self._version)}
        return copy.deepcopy(self.lease)

    @property
    def holder(self) -> str:
        return (self.lease or {}).get("spec", {}).get("holderIdentity", "")


@dataclass
class Network:
    """The way of one process to the server; what it does is changed while it runs.

    Attributes:
        server: The server.
        latency: Seconds to the server, and as many back.
        down: Requests fail at once.
        hangs: Requests are never answered, and not carried out.
        loses_answers: Requests are carried out and never answered.
        requests: How many were sent.
    """

    server: FakeLeases
    latency: float = 0.0
    down: bool = False
    hangs: bool = False
    loses_answers: bool = False
    requests: int = 0

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        return await self._send("get")

    async def create(self, resource: Resource, body: Object) -> Object:
        return await self._send("create", body)

    async def replace(self, resource: Resource, body: Object) -> Object:
        return await self._send("replace", body)

    async def _send(self, verb: str, *body: Object) -> Object:
        self.requests += 1
        if self.down:
            raise Transient("no connection")
        if self.hangs:
            await asyncio.sleep(1e9)
        found = await self._carried_out(verb, *copy.deepcopy(body))
        await asyncio.sleep(self.latency)
        if self.loses_answers:
            await asyncio.sleep(1e9)
        return found

    def _carried_out(self, verb: str, *body: Object) -> asyncio.Future[Object]:
        """Return the server's answer to come; a request on its way is carried out in any case."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Object] = loop.create_future()

        def act() -> None:
            try:
                found = getattr(self.server, verb)(*body)
            except Exception as error:
                if not answer.done():
                    answer.set_exception(error)
                return
            if not answer.done():
                answer.set_result(found)

        loop.call_later(self.latency, act)
        return answer


class Stoppable:
    """Stops and continues all code of one process, as SIGSTOP and SIGCONT do."""

    def __init__(self) -> None:
        self._runs = asyncio.Event()
        self._runs.set()

    def stop(self) -> None:
        self._runs.clear()

    def cont(self) -> None:
        self._runs.set()

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await _Steps(work, self._runs)


class _Steps:
    """Carries a coroutine on from one await to the next only while its process runs."""

    def __init__(self, work: Coroutine[Any, Any, Any], runs: asyncio.Event) -> None:
        self._work = work
        self._runs = runs

    def __await__(self) -> Generator[Any, Any, Any]:
        fault: BaseException | None = None
        while True:
            try:
                waits_for = self._work.throw(fault) if fault else self._work.send(None)
            except StopIteration as end:
                return end.value
            fault = None
            try:
                yield waits_for
            except BaseException as error:
                fault = error
            while not self._runs.is_set():
                try:
                    yield from self._runs.wait().__await__()
                except BaseException as error:
                    fault = error


@dataclass
class Write:
    """One write of a process to the cluster, when it arrived."""

    at: float
    by: str
    also_leading: list[str]


@dataclass
class Cluster:
    """The server, the processes at it, and what they wrote.

    Attributes:
        leases: The server's Lease.
        writes: All writes in the order in which they arrived.
        processes: All that were ever started.
    """

    leases: FakeLeases = field(default_factory=FakeLeases)
    writes: list[Write] = field(default_factory=list)
    processes: list[FakeOperator] = field(default_factory=list)

    def start(self, identity: str, **more: Any) -> FakeOperator:
        process = FakeOperator(self, identity, **more)
        self.processes.append(process)
        return process

    def leading(self) -> list[str]:
        """Return who may write now."""
        return [process.identity for process in self.processes if process.may_write]

    def arrive(self, by: str) -> None:
        self.writes.append(Write(now(), by, [name for name in self.leading() if name != by]))

    def overlaps(self) -> list[Write]:
        """Return writes that arrived while another process might write."""
        return [write for write in self.writes if write.also_leading]


class FakeOperator:
    """A process that writes whenever the fence lets it.

    Attributes:
        identity: Its name in the Lease.
        network: Its way to the Lease.
        elector: What is tested.
        ended: What its renewal ended with.
        lives: Whether it was neither killed nor told to end.
        paused: Whether it is stopped.
    """

    def __init__(
        self,
        cluster: Cluster,
        identity: str,
        *,
        skew: float = 0.0,
        pace: float = 1.0,
        wall_skew_hours: float = 0.0,
        wall_pace: float = 1.0,
        period: float = 0.5,
        chance: random.Random | None = None,
        timing: LeaseTiming | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        day = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(hours=wall_skew_hours)
        self.identity = identity
        self.network = Network(cluster.leases)
        self.ended: Exception | None = None
        self._cluster = cluster
        self._period = period
        self._chance = chance or random.Random(0)
        self._signals = Stoppable()
        self.ending: asyncio.Task[None] | None = None
        self._stopping = False
        self.lives = True
        self.paused = False
        self._killed = False
        self._unanswered = False
        self.elector = LeaderElector(
            self.network,
            namespace=NAMESPACE,
            name=NAME,
            identity=identity,
            timing=timing,
            clock=lambda: loop.time() * pace + skew,
            wall_clock=lambda: day + timedelta(seconds=loop.time() * wall_pace),
            chance=self._chance.random,
        )
        self._main = asyncio.create_task(self._signals.run(self._lead()))
        self._writer = asyncio.create_task(self._signals.run(self._write()))

    @property
    def may_write(self) -> bool:
        return not self._killed and self.elector.remaining() > 0

    def kill(self) -> None:
        """End it as SIGKILL does."""
        self.lives, self._killed = False, True
        self._main.cancel()
        self._writer.cancel()

    def pause(self) -> None:
        """Stop it as SIGSTOP does."""
        self.paused = True
        self._signals.stop()

    def resume(self) -> None:
        """Continue it as SIGCONT does."""
        self.paused = False
        self._signals.cont()

    async def stop(self) -> None:
        """End it as SIGTERM does: write no more, await answers, give the lease up."""
        self.lives, self._stopping = False, True
        await self._writer
        self._main.cancel()
        await asyncio.wait([self._main])
        if not self._unanswered:
            await self._signals.run(self.elector.release())

    async def _lead(self) -> None:
        try:
            await self.elector.acquire()
            await self.elector.renew()
        except LeaseLost as error:
            self.ended = error

    async def _write(self) -> None:
        while not self._stopping:
            left = self.elector.remaining()
            if left > 0:
                await self._write_once(left)
            await asyncio.sleep(self._period)

    async def _write_once(self, seconds: float) -> None:
        """Write; what is on its way arrives, also when its sender has given up waiting."""
        loop, delay = asyncio.get_running_loop(), self._chance.random() * 2
        loop.call_later(delay, self._cluster.arrive, self.identity)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(delay)
        except TimeoutError:
            self._unanswered = True
