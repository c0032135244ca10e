"""What the admission policies say of engine arguments and of sources, and where they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import wait_for
from tests.installation.helm import rendered_objects
from tests.integration.admission import (
    POLICIES,
    Spec,
    args,
    guarded_cluster,
    model,
    refused,
    source,
    worker,
)
from tests.integration.harness import ROOT
from tests.integration.refusals import refusals

from freehold.plan.engine_settings import OWNED_BY_PLAN, OWNED_WITHIN

VALUES: dict[str, dict[str, Any]] = {
    "strict": {},
    "prefixes": {"hostPathPrefixes": ["/srv/models/", "/mnt/a"]},
    "root": {"hostPathPrefixes": ["/"]},
    "off": {"enabled": False},
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    with guarded_cluster(VALUES) as cluster:
        yield cluster


# --- Engine arguments --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told_of_arguments(guarded: Cluster) -> dict[str, str]:
    """What is said of each argument that the plan owns, alone."""
    texts = {name: json.dumps(model("one", **args(**{name: 2}))) for name in OWNED_BY_PLAN}
    for item in OWNED_WITHIN:
        spec = args(**{item.argument: {item.field: 2}})
        texts[f"{item.argument}.{item.field}"] = json.dumps(model("one", **spec))
    return refusals(guarded, "strict", texts, "--dry-run=server")


@pytest.mark.parametrize("name", OWNED_BY_PLAN)
def test_an_argument_that_the_plan_owns_is_refused(
    told_of_arguments: dict[str, str], name: str
) -> None:
    told = told_of_arguments[name]
    sentence = f"spec.engine.args.{name}: found 2; allowed: no value here; {OWNED_BY_PLAN[name]}."
    assert f"{sentence} Remove it from the arguments." in told


@pytest.mark.parametrize("item", OWNED_WITHIN, ids=lambda it: f"{it.argument}.{it.field}")
def test_a_field_of_an_argument_that_takes_uncounted_memory_is_refused(
    told_of_arguments: dict[str, str], item: Any
) -> None:
    where = f"{item.argument}.{item.field}"
    sentence = f"spec.engine.args.{where}: found 2; allowed: {item.allowed}. {item.hint}"
    assert sentence in told_of_arguments[where]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        pytest.param(
            args(**{"--tensor-parallel-size": 2}),
            "spec.engine.args.--tensor-parallel-size: found 2",
            id="as on the command line",
        ),
        pytest.param(
            args(**{"tensor-parallel_size": 2}), "spec.engine.args.tensor-parallel_size", id="mixed"
        ),
        pytest.param(args(nnodes=None), "spec.engine.args.nnodes: found null", id="null"),
        pytest.param(
            args(hf_overrides={"a": "b" * 500}), 'hf_overrides: found {"a":"bbbb', id="a long one"
        ),
        pytest.param(
            args(model="one\ntwo"), "spec.engine.args.model: found one; allowed", id="many lines"
        ),
        pytest.param(
            args(**{"-" * 9000 + "model": 1}), f"spec.engine.args.{'-' * 60}: found 1", id="long"
        ),
    ],
)
def test_no_spelling_of_an_argument_gets_around(guarded: Cluster, spec: Spec, told: str) -> None:
    assert told in refused(guarded, "strict", **spec)


def test_all_arguments_are_told_at_once_but_no_more_than_can_be_read(guarded: Cluster) -> None:
    told = refused(
        guarded, "strict", **args(model="a", nnodes=2, revision="b", node_rank=0, dtype=1)
    )
    assert told.count("Remove it from the arguments.") == 3
    assert told.endswith("And 1 more.")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"max_num_seqs": 8, "gpu_memory_utilization": 0.8},
        {"speculative_config": {"method": "ngram", "model": None}},
        {"speculative_config": None, "eplb_config": {"num_redundant_experts": 0}},
        {"eplb_config": "for the operator to refuse"},
        # nobody's, and what the engine does not know is told by the operator
        {"tensor_parallel": 2, "": 1, "-": 1},
    ],
    ids=str,
)
def test_other_arguments_are_left_to_the_operator(
    guarded: Cluster, arguments: dict[str, Any]
) -> None:
    assert refused(guarded, "strict", **args(**arguments)) == ""


# --- Sources -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "admitting"),
    [
        ("/srv/models", {"prefixes", "root", "off"}),
        ("/srv/models/", {"prefixes", "root", "off"}),
        ("/srv/models/llama/3", {"prefixes", "root", "off"}),
        ("/srv/models/..llama", {"prefixes", "root", "off"}),
        ("/mnt/a%20b", {"root", "off"}),
        ("/mnt/a/%C3%A9", {"prefixes", "root", "off"}),
        ("/srv/modelsx", {"root", "off"}),
        ("/srv", {"root", "off"}),
        ("/etc", {"root", "off"}),
        ("/srv/models/../../etc", {"off"}),
        ("/srv/models/..", {"off"}),
        ("/srv/models/./llama", {"off"}),
        ("/srv/models//llama", {"off"}),
        ("//srv/models", {"off"}),
        ("/srv/models/%2e%2E/etc", {"off"}),
        ("/srv/models/..%2fetc", {"off"}),
        ("/srv/models/%00", {"off"}),
        ("/srv/models?/../etc", {"off"}),
    ],
)
def test_a_path_of_the_nodes_is_admitted_below_a_prefix_alone(
    guarded: Cluster, path: str, admitting: set[str]
) -> None:
    told = {
        it: refused(guarded, it, **source(path)) for it in ("strict", "prefixes", "root", "off")
    }
    assert {name for name, text in told.items() if not text} == admitting
    found = f"spec.model.source: found file://{path}; allowed: "
    assert f"{found}no file:// source. Ask the administrator" in told["strict"]
    if "prefixes" not in admitting:
        assert f"{found}a path below /srv/models/, /mnt/a, without" in told["prefixes"]
        assert "value admission.hostPathPrefixes of the chart." in told["prefixes"]


# --- Where the policies hold -------------------------------------------------------------------


def test_other_namespaces_and_a_policy_that_is_off_are_left_alone(guarded: Cluster) -> None:
    spec = {**source("/etc"), **args(nnodes=2), **worker(hostPID=True)}
    assert refused(guarded, "default", **spec) == ""
    assert refused(guarded, "off", **spec) == ""
    assert refused(guarded, "strict", **spec) != ""


def test_no_policy_is_made_where_they_are_off(guarded: Cluster) -> None:
    objects = rendered_objects(guarded, {"admission": {"enabled": False}})
    assert objects
    assert not [it for it in objects if "Admission" in it["kind"]]


def test_the_type_checker_of_kubernetes_finds_nothing(guarded: Cluster) -> None:
    names = [f"{release}-{name}" for release in ("strict", "prefixes") for name in POLICIES]

    def status(name: str) -> Any:
        found = guarded.get("validatingadmissionpolicy", name) or {}
        seen = found.get("status", {}).get("observedGeneration")
        return found["status"] if seen == found["metadata"]["generation"] else None

    for name in names:
        checked = wait_for(f"{name} is checked", lambda n=name: status(n), 60)
        assert checked["typeChecking"] == {}


def test_every_example_is_admitted(guarded: Cluster) -> None:
    paths = sorted((ROOT / "examples").glob("*.yaml"))
    texts = {path.stem: path.read_text() for path in paths}
    told = refusals(guarded, "strict", texts, "--dry-run=server")
    # the demo's model lies in a folder of the machine that it runs on
    assert {name for name, text in told.items() if text} == {"gemma-3-270m"}
