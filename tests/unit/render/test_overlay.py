"""Overlays are merged as Kubernetes merges strategically."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from freehold.render.overlay import overlaid

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {
        "containers": [
            {
                "name": "ray",
                "image": "one",
                "args": ["x", "y"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            },
            {"name": "other", "image": "two"},
        ],
        "tolerations": [{"key": "gpu"}],
        "volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}],
    },
}


def on_container(**fields: Any) -> dict[str, Any]:
    """Return the first container with an overlay on it."""
    overlay = {"spec": {"containers": [{"name": "ray", **fields}]}}
    return dict(overlaid(TEMPLATE, overlay)["spec"]["containers"][0])


@pytest.mark.parametrize("overlay", [None, {}])
def test_nothing_changes_nothing(overlay: dict[str, Any] | None) -> None:
    assert overlaid(TEMPLATE, overlay) == TEMPLATE


def test_maps_are_merged() -> None:
    merged = overlaid(TEMPLATE, {"metadata": {"labels": {"b": "2"}, "annotations": {"c": "3"}}})
    assert merged["metadata"] == {"labels": {"a": "1", "b": "2"}, "annotations": {"c": "3"}}
    assert merged["spec"] == TEMPLATE["spec"]


def test_null_removes_a_field() -> None:
    merged = overlaid(TEMPLATE, {"spec": {"tolerations": None, "absent": None}})
    assert set(merged["spec"]) == {"containers", "volumes"}


def test_containers_are_merged_by_name_in_the_templates_order() -> None:
    overlay = {"spec": {"containers": [{"name": "new"}, {"name": "other", "image": "three"}]}}
    merged = overlaid(TEMPLATE, overlay)["spec"]["containers"]
    assert [it["name"] for it in merged] == ["ray", "other", "new"]
    assert merged[0] == TEMPLATE["spec"]["containers"][0]
    assert merged[1]["image"] == "three"


def test_variables_are_merged_by_name() -> None:
    merged = on_container(env=[{"name": "C", "value": "4"}, {"name": "B", "value": "3"}])
    assert [(it["name"], it["value"]) for it in merged["env"]] == [
        ("A", "1"),
        ("B", "3"),
        ("C", "4"),
    ]


def test_a_variable_has_one_source() -> None:
    source = {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert on_container(env=[source])["env"][0] == source


def test_a_volume_of_another_kind_replaces_the_old_one() -> None:
    volume = {"name": "v", "hostPath": {"path": "/v"}}
    assert overlaid(TEMPLATE, {"spec": {"volumes": [volume]}})["spec"]["volumes"] == [volume]


def test_a_volume_of_the_same_kind_is_merged() -> None:
    volume = {"name": "v", "emptyDir": {"sizeLimit": "8Gi"}}
    (merged,) = overlaid(TEMPLATE, {"spec": {"volumes": [volume]}})["spec"]["volumes"]
    assert merged["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}


def test_mounts_are_merged_by_path() -> None:
    mounts = [{"name": "w", "mountPath": "/w"}, {"mountPath": "/v", "readOnly": True}]
    assert on_container(volumeMounts=mounts)["volumeMounts"] == [
        {"name": "v", "mountPath": "/v", "readOnly": True},
        {"name": "w", "mountPath": "/w"},
    ]


def test_other_lists_are_replaced() -> None:
    assert on_container(args=["z"])["args"] == ["z"]
    merged = overlaid(TEMPLATE, {"spec": {"tolerations": [{"key": "spot"}]}})
    assert merged["spec"]["tolerations"] == [{"key": "spot"}]


def test_an_item_without_a_name_is_added() -> None:
    """The API server says what is wrong with it; dropping it would say nothing."""
    merged = overlaid(TEMPLATE, {"spec": {"containers": [{"image": "nameless"}]}})
    assert merged["spec"]["containers"][2] == {"image": "nameless"}


def test_what_is_given_stays_as_it_is() -> None:
    template, overlay = copy.deepcopy(TEMPLATE), {"spec": {"containers": [{"name": "ray"}]}}
    kept = copy.deepcopy(overlay)
    overlaid(template, overlay)
    assert (template, overlay) == (TEMPLATE, kept)
