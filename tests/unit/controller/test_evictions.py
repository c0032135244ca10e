"""A pod that a node ended is told of for two minutes, though it is gone within a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.status.situations import pod

from freehold.controller.evictions import Evictions
from freehold.controller.queue import Key

KEY, NOW = Key("models", "chat"), datetime(2026, 11, 27, tzinfo=UTC)
FIRST = pod("chat-old-w-1", evicted="disk")
SECOND = pod("chat-old-w-2", evicted="disk again")
OTHER = pod("chat-new-w-1", of="chat-new", evicted="disk there")
SOUND = pod("chat-old-w-3")


def test_the_last_of_each_cluster_is_told_while_it_is_news() -> None:
    evictions = Evictions()
    assert evictions.lately(KEY, (SOUND,), NOW) == ()
    assert evictions.lately(KEY, (FIRST, OTHER, SOUND), NOW) == (FIRST, OTHER)
    later = NOW + timedelta(minutes=1)
    assert evictions.lately(KEY, (SECOND, SOUND), later) == (SECOND, OTHER)
    assert evictions.lately(KEY, (SOUND,), later + timedelta(seconds=61)) == (SECOND,)
    assert evictions.lately(KEY, (SOUND,), later + timedelta(minutes=2)) == ()


def test_a_model_s_are_its_own_and_go_with_it() -> None:
    evictions = Evictions()
    evictions.lately(KEY, (FIRST,), NOW)
    assert evictions.lately(Key("models", "other"), (SOUND,), NOW) == ()
    evictions.forget(KEY)
    assert evictions.lately(KEY, (SOUND,), NOW) == ()
