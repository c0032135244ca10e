"""A pod that failed is told of for two minutes, though it is gone within a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.status.situations import pod

from freehold.controller.failed_pods import FailedPods
from freehold.controller.queue import Key

KEY, NOW = Key("models", "chat"), datetime(2026, 11, 27, tzinfo=UTC)
FIRST = pod("chat-old-w-1", failed=True)
SECOND = pod("chat-old-w-2", failed=True)
OTHER = pod("chat-new-w-1", of="chat-new", failed=True)
SOUND = pod("chat-old-w-3")


def test_the_last_of_each_cluster_is_told_while_it_is_news() -> None:
    failed, later = FailedPods(), NOW + timedelta(minutes=1)
    for it in (FIRST, OTHER, SOUND):
        failed.seen(KEY, it, NOW)
    assert failed.lately(KEY, NOW) == (FIRST, OTHER)
    failed.seen(KEY, SECOND, later)
    assert failed.lately(KEY, later) == (SECOND, OTHER)
    assert failed.lately(KEY, later + timedelta(seconds=61)) == (SECOND,)
    assert failed.lately(KEY, later + timedelta(minutes=2)) == ()


def test_a_model_s_are_its_own_and_go_with_it() -> None:
    failed = FailedPods()
    failed.seen(KEY, FIRST, NOW)
    assert failed.lately(Key("models", "other"), NOW) == ()
    failed.forget(KEY)
    assert failed.lately(KEY, NOW) == ()
