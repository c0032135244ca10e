"""A pod that ended is told of for two minutes, though it is gone within a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.status.situations import pod

from freehold.controller.ended_pods import EndedPods
from freehold.controller.queue import Key

KEY, NOW = Key("models", "chat"), datetime(2026, 11, 27, tzinfo=UTC)
FIRST = pod("chat-old-w-1", ended=True)
SECOND = pod("chat-old-w-2", ended=True)
OTHER = pod("chat-new-w-1", of="chat-new", ended=True)
SOUND = pod("chat-old-w-3")


def test_the_last_of_each_cluster_is_told_while_it_is_news() -> None:
    ended, later = EndedPods(), NOW + timedelta(minutes=1)
    for it in (FIRST, OTHER, SOUND):
        ended.seen(KEY, it, NOW)
    assert ended.lately(KEY, NOW) == (FIRST, OTHER)
    ended.seen(KEY, SECOND, later)
    assert ended.lately(KEY, later) == (SECOND, OTHER)
    assert ended.lately(KEY, later + timedelta(seconds=61)) == (SECOND,)
    assert ended.lately(KEY, later + timedelta(minutes=2)) == ()


def test_a_model_s_are_its_own_and_go_with_it() -> None:
    ended = EndedPods()
    ended.seen(KEY, FIRST, NOW)
    assert ended.lately(Key("models", "other"), NOW) == ()
    ended.forget(KEY)
    assert ended.lately(KEY, NOW) == ()
