"""What no watch tells of is looked at again in time."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.status.situations import SERVES

from freehold.controller.reconcile import look_again


def test_an_edit_that_kuberay_does_not_take_up_is_looked_at_again_soon() -> None:
    assert SERVES.ray_service is not None
    edited = replace(SERVES.ray_service, generation=2)
    waits = look_again(replace(SERVES, ray_service=edited)), look_again(SERVES)
    assert waits == (15.0, 30.0)
