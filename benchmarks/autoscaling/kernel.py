"""The event loop of simulated replicas, compiled by numba.

Replicas run steps of continuous batching as vLLM's scheduler does: sequences that decode get one
token each, what is left of the token budget goes to prompts in the order in which they came, and a
request begins when a seat and room for its prompt in the KV cache are free. Where that cache runs
full, the sequence that came last is put back and its tokens are computed again. Where steps are
scheduled ahead, each is when the one before it begins: who comes to a replica that is not idle
waits for one step more than the one under way.

Requests beyond ``max_ongoing`` of all replicas wait in one queue, first come, first served; a
request goes to the less busy of two replicas taken at random. All state is in arrays, so that the
loop can stop at any time and go on.

Steps in which nothing begins or ends are taken together: their times are an arithmetic series,
since each adds one token of context to every sequence. A request that comes meanwhile cuts the
series after the step that is under way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

ABSENT, STARTING, READY, DRAINING = 0, 1, 2, 3
# columns of World.counters: what a replica has done since it started
STEPS, BUSY, PROMPT, GENERATED, CONTEXT, FINISHED, OUTPUT, LATE = range(8)
COUNTERS = 8
# fields of World.scalars
NEXT, HEAD, TAIL, DONE, ROWS, RANDOM, PREEMPTED, CLOSED = range(8)
SCALARS = 8
NEVER = np.inf
# Blocks are not quite full, and a few stay free.
_KV_USABLE = 0.98


class World(NamedTuple):
    """All that changes. ``n`` requests, ``r`` replicas at the most, ``s`` seats, ``o`` ongoing.

    ``arrival``, ``first``, ``done`` are in seconds; ``queue`` is a ring that begins at HEAD.
    """

    arrival: Any  # [n]
    taken: Any  # [n] when a replica took it
    prompt: Any  # [n] tokens
    output: Any  # [n] tokens
    first: Any  # [n] when the first token came; inf before
    done: Any  # [n]
    made: Any  # [n] tokens generated before the sequence was last put back
    queue: Any  # [n + r * o + 1]
    scalars: Any  # [SCALARS] int64
    state: Any  # [r]
    born: Any  # [r] when it was asked for
    ready_at: Any  # [r]
    step_end: Any  # [r] inf while idle
    step_begin: Any  # [r]
    step_prompt: Any  # [r] prompt tokens of the step
    step_count: Any  # [r] steps that are taken together
    steps: Any  # [r]
    waiting: Any  # [r, o] ring
    wait_head: Any  # [r]
    wait_n: Any  # [r]
    prefill: Any  # [r, s] requests in order
    prefill_left: Any  # [r, s] tokens
    prefill_n: Any  # [r]
    decode: Any  # [r, s] requests in order
    decode_end: Any  # [r, s] the step after which each has ended
    decode_n: Any  # [r]
    next_end: Any  # [r] the least of decode_end
    context: Any  # [r] tokens of those that decode
    kv: Any  # [r] tokens in the cache
    counters: Any  # [r, COUNTERS]
    gone: Any  # [COUNTERS] of replicas whose rows others have now
    # p0 p1 p2 d0 d1 d2 in seconds and tokens, kv tokens, seats, budget, max ongoing, bound, ahead
    physics: Any


def world(
    arrival: Any, prompt: Any, output: Any, physics: Any, rows: int, seed: int, closed: int = 0
) -> World:
    """Return the beginning: no replica, and requests sorted by their arrival.

    Args:
        arrival: Seconds; inf for what arrives when another request ends.
        prompt: Tokens.
        output: Tokens.
        physics: As ``World.physics``.
        rows: Replicas at the most, draining ones included.
        seed: Of the router's choice.
        closed: Where requests follow each other, the first that does.
    """
    n, seats, ongoing = len(arrival), int(physics[7]), int(physics[9])
    scalars = np.zeros(SCALARS, np.int64)
    scalars[RANDOM], scalars[CLOSED] = 2 * seed + 1, closed
    many = np.zeros((rows, seats), np.int64)
    return World(
        arrival=np.ascontiguousarray(arrival, np.float64),
        taken=np.zeros(n),
        prompt=np.ascontiguousarray(prompt, np.int64),
        output=np.maximum(np.ascontiguousarray(output, np.int64), 1),
        first=np.full(n, NEVER),
        done=np.full(n, NEVER),
        made=np.zeros(n, np.int64),
        queue=np.zeros(n + rows * ongoing + 1, np.int64),
        scalars=scalars,
        state=np.zeros(rows, np.int64),
        born=np.zeros(rows),
        ready_at=np.full(rows, NEVER),
        step_end=np.full(rows, NEVER),
        step_begin=np.zeros(rows),
        step_prompt=np.zeros(rows, np.int64),
        step_count=np.ones(rows, np.int64),
        steps=np.zeros(rows, np.int64),
        waiting=np.zeros((rows, ongoing), np.int64),
        wait_head=np.zeros(rows, np.int64),
        wait_n=np.zeros(rows, np.int64),
        prefill=many.copy(),
        prefill_left=many.copy(),
        prefill_n=np.zeros(rows, np.int64),
        decode=many.copy(),
        decode_end=many.copy(),
        decode_n=np.zeros(rows, np.int64),
        next_end=np.zeros(rows, np.int64),
        context=np.zeros(rows, np.int64),
        kv=np.zeros(rows, np.int64),
        counters=np.zeros((rows, COUNTERS)),
        gone=np.zeros(COUNTERS),
        physics=np.ascontiguousarray(physics, np.float64),
    )


# Nothing is allocated here. Were references counted, each call would count those of all arrays of
# a World, atomically, and that would take more than nine tenths of the time.
_compiled = numba.njit(cache=True, nogil=True, _nrt=False)


@_compiled
def _random(w: World, below: int) -> int:
    """Return a number of xorshift64*."""
    x = np.uint64(w.scalars[RANDOM])
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    w.scalars[RANDOM] = np.int64(x)
    return int((x * np.uint64(2685821657736338717) >> np.uint64(33)) % np.uint64(below))


@_compiled
def ongoing(w: World, r: int) -> int:
    """Return the requests that a replica has."""
    return w.wait_n[r] + w.prefill_n[r] + w.decode_n[r]


@_compiled
def queued(w: World) -> int:
    """Return the requests that no replica has yet."""
    return (w.scalars[TAIL] - w.scalars[HEAD]) % len(w.queue)


@_compiled
def _enqueue(w: World, request: int) -> None:
    w.queue[w.scalars[TAIL]] = request
    w.scalars[TAIL] = (w.scalars[TAIL] + 1) % len(w.queue)


@_compiled
def _enqueue_first(w: World, request: int) -> None:
    w.scalars[HEAD] = (w.scalars[HEAD] - 1) % len(w.queue)
    w.queue[w.scalars[HEAD]] = request


@_compiled
def _dequeue(w: World) -> int:
    request = w.queue[w.scalars[HEAD]]
    w.scalars[HEAD] = (w.scalars[HEAD] + 1) % len(w.queue)
    return request


@_compiled
def _take(w: World, r: int, request: int, now: float) -> None:
    """Give a request to a replica, which begins a step where it was idle."""
    room = w.waiting.shape[1]
    w.waiting[r, (w.wait_head[r] + w.wait_n[r]) % room] = request
    w.wait_n[r] += 1
    w.taken[request] = now
    if w.step_end[r] == np.inf:
        _begin_step(w, r, now)
    elif w.step_count[r] > 1:
        _cut(w, r, _steps_until(w, r, now) + 1)


@_compiled
def _decode_time(w: World, r: int, count: int) -> float:
    """Return the seconds of so many steps of what decodes, from the first of them on."""
    batch = w.decode_n[r]
    first = w.physics[3] + w.physics[4] * batch + w.physics[5] * w.context[r]
    return count * first + w.physics[5] * batch * count * (count - 1) / 2


@_compiled
def _steps_until(w: World, r: int, now: float) -> int:
    """Return how many of the steps that are taken together have ended."""
    low, high = 0, w.step_count[r]
    while low < high:
        middle = (low + high + 1) // 2
        if w.step_begin[r] + _decode_time(w, r, middle) <= now:
            low = middle
        else:
            high = middle - 1
    return low


@_compiled
def _cut(w: World, r: int, count: int) -> None:
    """Take fewer steps together."""
    if count < w.step_count[r]:
        w.step_count[r] = count
        w.step_end[r] = w.step_begin[r] + _decode_time(w, r, count)


@_compiled
def _count_steps(w: World, r: int, count: int) -> None:
    """Add what so many steps of what decodes did, but for tokens that prefill gives."""
    batch = w.decode_n[r]
    w.steps[r] += count
    w.counters[r, STEPS] += count
    w.counters[r, GENERATED] += count * batch
    w.counters[r, CONTEXT] += count * w.kv[r] + batch * count * (count - 1) / 2
    w.context[r] += count * batch
    w.kv[r] += count * batch


@_compiled
def settle(w: World, now: float) -> None:
    """Count all steps that have ended, those too that are taken together with later ones."""
    for r in range(w.scalars[ROWS]):
        if w.state[r] != ABSENT and w.step_end[r] < np.inf and w.step_count[r] > 1:
            count = min(_steps_until(w, r, now), w.step_count[r] - 1)
            took = _decode_time(w, r, count)
            _count_steps(w, r, count)
            w.counters[r, BUSY] += took
            w.step_begin[r] += took
            w.step_count[r] -= count


@_compiled
def _put_back(w: World, r: int, request: int) -> None:
    room = w.waiting.shape[1]
    w.wait_head[r] = (w.wait_head[r] - 1) % room
    w.waiting[r, w.wait_head[r]] = request
    w.wait_n[r] += 1


@_compiled
def _fill(w: World, r: int, now: float) -> None:
    """Give a replica of what is queued as much as it takes."""
    most = int(w.physics[9])
    while w.state[r] == READY and ongoing(w, r) < most and queued(w) > 0:
        _take(w, r, _dequeue(w), now)


@_compiled
def _route(w: World, request: int, now: float) -> None:
    """Send a request to the less busy of two replicas, or keep it."""
    most = int(w.physics[9])
    free = 0
    for r in range(w.scalars[ROWS]):
        if w.state[r] == READY and ongoing(w, r) < most:
            free += 1
    if free == 0 or queued(w) > 0:
        _enqueue(w, request)
        return
    one, other = _random(w, free), _random(w, free)
    best, seen = -1, 0
    for r in range(w.scalars[ROWS]):
        if w.state[r] == READY and ongoing(w, r) < most:
            if seen in (one, other) and (best < 0 or ongoing(w, r) < ongoing(w, best)):
                best = r
            seen += 1
    _take(w, best, request, now)


@_compiled
def _admit(w: World, r: int, left: int) -> None:
    """Let what waits join the next step while a seat, the KV cache and its tokens allow it."""
    kv_tokens, seats = w.physics[6] * _KV_USABLE, int(w.physics[7])
    while left > 0 and w.wait_n[r] > 0 and w.prefill_n[r] + w.decode_n[r] < seats:
        request = w.waiting[r, w.wait_head[r]]
        tokens = w.prompt[request] + w.made[request]
        alone = w.prefill_n[r] + w.decode_n[r] == 0
        if w.kv[r] + tokens > kv_tokens and not alone:
            return
        w.wait_head[r] = (w.wait_head[r] + 1) % w.waiting.shape[1]
        w.wait_n[r] -= 1
        w.prefill[r, w.prefill_n[r]] = request
        w.prefill_left[r, w.prefill_n[r]] = tokens
        w.prefill_n[r] += 1
        w.kv[r] += tokens
        left -= tokens


@_compiled
def _prompt_tokens(w: World, r: int) -> int:
    """Return the tokens that are yet to be prefilled of what has begun."""
    left = 0
    for i in range(w.prefill_n[r]):
        left += w.prefill_left[r, i]
    return left


@_compiled
def _begin_step(w: World, r: int, now: float) -> None:
    """Decide what the next step computes and when it ends; ahead, schedule the one after it."""
    budget = int(w.physics[8]) - w.decode_n[r]
    ahead = w.physics[11] > 0
    if not ahead or w.prefill_n[r] + w.decode_n[r] == 0:
        _admit(w, r, budget - _prompt_tokens(w, r))
    if w.prefill_n[r] + w.decode_n[r] == 0:
        w.step_end[r] = np.inf
        return
    left = _prompt_tokens(w, r)
    tokens = min(budget, left)
    if ahead:
        _admit(w, r, budget - (left - tokens))
    w.step_prompt[r], w.step_begin[r], w.step_count[r] = tokens, now, 1
    if tokens > 0:
        time = w.physics[0] + w.physics[1] * tokens + w.physics[2] * tokens * tokens
        w.step_end[r] = now + max(time, w.physics[3]) + _decode_time(w, r, 1) - w.physics[3]
        return
    if w.prefill_n[r] == 0:
        # until one of them ends or the KV cache is full
        room = max(0, int(w.physics[6]) - w.kv[r]) // w.decode_n[r] + 1
        w.step_count[r] = max(1, min(w.next_end[r] - w.steps[r], room))
    w.step_end[r] = now + _decode_time(w, r, w.step_count[r])


@_compiled
def _end(w: World, r: int, request: int, now: float) -> None:
    """Count a request as answered; where requests follow each other, the next one comes."""
    w.done[request] = now
    w.scalars[DONE] += 1
    w.kv[r] -= w.prompt[request] + w.output[request]
    w.counters[r, FINISHED] += 1
    w.counters[r, OUTPUT] += w.output[request]
    if 0 < w.scalars[CLOSED] < len(w.arrival):
        w.arrival[w.scalars[CLOSED]] = now
        w.scalars[CLOSED] += 1


@_compiled
def _end_prefill(w: World, r: int, now: float) -> int:
    """Take the step's tokens off the prompts; return the sequences that have a token of it."""
    tokens, through = w.step_prompt[r], 0
    while through < w.prefill_n[r] and w.prefill_left[r, through] <= tokens:
        tokens -= w.prefill_left[r, through]
        request = w.prefill[r, through]
        through += 1
        if w.first[request] == np.inf:
            w.first[request] = now
            w.counters[r, LATE] += now - w.taken[request] > w.physics[10]
        w.made[request] += 1
        w.kv[r] += 1
        if w.made[request] >= w.output[request]:
            _end(w, r, request, now)
            continue
        at = w.decode_n[r]
        w.decode[r, at] = request
        w.decode_end[r, at] = w.steps[r] + w.output[request] - w.made[request]
        w.next_end[r] = min(w.next_end[r], w.decode_end[r, at]) if at else w.decode_end[r, at]
        w.decode_n[r] += 1
        w.context[r] += w.prompt[request] + w.made[request]
    left = w.prefill_n[r] - through
    for i in range(left):
        w.prefill[r, i] = w.prefill[r, i + through]
        w.prefill_left[r, i] = w.prefill_left[r, i + through]
    w.prefill_n[r] = left
    if left:
        w.prefill_left[r, 0] -= tokens
    return through


@_compiled
def _end_decodes(w: World, r: int, now: float) -> None:
    """Take off the sequences that had their last token in this step."""
    kept, least = 0, np.int64(2**62)
    for i in range(w.decode_n[r]):
        request, end = w.decode[r, i], w.decode_end[r, i]
        if end <= w.steps[r]:
            w.context[r] -= w.prompt[request] + w.output[request]
            _end(w, r, request, now)
            continue
        w.decode[r, kept], w.decode_end[r, kept] = request, end
        least = min(least, end)
        kept += 1
    w.decode_n[r], w.next_end[r] = kept, least


@_compiled
def _preempt(w: World, r: int) -> None:
    """Put back what came last while the KV cache is too full."""
    while w.kv[r] > w.physics[6] and w.decode_n[r] > 1:
        w.decode_n[r] -= 1
        at = w.decode_n[r]
        request = w.decode[r, at]
        w.made[request] = w.output[request] - (w.decode_end[r, at] - w.steps[r])
        tokens = w.prompt[request] + w.made[request]
        w.context[r] -= tokens
        w.kv[r] -= tokens
        w.scalars[PREEMPTED] += 1
        _put_back(w, r, request)


@_compiled
def _end_step(w: World, r: int) -> None:
    now = w.step_end[r]
    batch = w.decode_n[r]
    _count_steps(w, r, w.step_count[r])
    w.step_count[r] = 1
    w.counters[r, BUSY] += now - w.step_begin[r]
    w.counters[r, PROMPT] += w.step_prompt[r]
    if batch and w.steps[r] >= w.next_end[r]:
        _end_decodes(w, r, now)
    w.counters[r, GENERATED] += _end_prefill(w, r, now)
    _preempt(w, r)
    if w.state[r] == READY and queued(w) > 0:
        w.step_end[r] = now  # not idle: what comes joins the step that begins now
        _fill(w, r, now)
    _begin_step(w, r, now)
    if w.state[r] == DRAINING and ongoing(w, r) == 0:
        w.state[r] = ABSENT


@_compiled
def advance(w: World, until: float) -> None:
    """Let everything happen that happens before ``until``, in seconds."""
    while True:
        at, row = until, -1
        for r in range(w.scalars[ROWS]):
            when = w.ready_at[r] if w.state[r] == STARTING else w.step_end[r]
            if w.state[r] != ABSENT and when < at:
                at, row = when, r
        following = w.scalars[NEXT]
        if following < len(w.arrival) and w.arrival[following] < at:
            w.scalars[NEXT] += 1
            _route(w, following, w.arrival[following])
        elif row < 0:
            return
        elif w.state[row] == STARTING:
            w.state[row] = READY
            _fill(w, row, at)
        else:
            _end_step(w, row)


@_compiled
def start(w: World, now: float, ready_at: float) -> int:
    """Start a replica in the first row that is free; return it, or -1 where there is none."""
    for r in range(len(w.state)):
        if w.state[r] == ABSENT:
            w.state[r], w.born[r], w.ready_at[r] = STARTING, now, ready_at
            w.step_end[r], w.steps[r], w.kv[r], w.context[r] = np.inf, 0, 0, 0
            w.wait_n[r] = w.prefill_n[r] = w.decode_n[r] = 0
            for i in range(COUNTERS):
                w.gone[i] += w.counters[r, i]
                w.counters[r, i] = 0.0
            w.scalars[ROWS] = max(w.scalars[ROWS], r + 1)
            return r
    return -1


@_compiled
def stop_one(w: World) -> int:
    """Take one replica away: the youngest that starts, or else the least busy drains.

    Return its row, or -1 where there is none.
    """
    best = -1
    for r in range(w.scalars[ROWS]):
        if w.state[r] == STARTING and (best < 0 or w.born[r] > w.born[best]):
            best = r
    if best >= 0:
        w.state[best] = ABSENT
        return best
    for r in range(w.scalars[ROWS]):
        if w.state[r] == READY and (best < 0 or ongoing(w, r) < ongoing(w, best)):
            best = r
    if best >= 0:
        w.state[best] = DRAINING if ongoing(w, best) else ABSENT
    return best


@_compiled
def kill(w: World, r: int) -> None:
    """End a replica: what had its first token is lost, the rest is queued again, ahead of all."""
    w.state[r], w.step_end[r] = ABSENT, np.inf
    for i in range(w.decode_n[r]):
        w.first[w.decode[r, i]] = np.inf
    for i in range(w.wait_n[r] - 1, -1, -1):
        request = w.waiting[r, (w.wait_head[r] + i) % w.waiting.shape[1]]
        w.made[request] = 0
        _enqueue_first(w, request)
    for i in range(w.prefill_n[r] - 1, -1, -1):
        request = w.prefill[r, i]
        w.made[request] = 0
        _enqueue_first(w, request)
