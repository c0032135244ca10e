"""Whatever ``freehold validate`` refuses, a cluster refuses too, or says so in a condition.

Each bad manifest goes both ways: to the command, which tells the field at fault, and to a real API
server with the kinds and the chart's policies, which refuses whatever one object shows. What only
the engine's list of arguments, the planner or the catalogue knows is left to the operator, a real
process, whose condition must then name that field.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.installation.kuberay import kuberay_crds
from tests.integration.admission import guarded_cluster
from tests.integration.bad_manifests import (
    CLASS,
    LEFT_TO_THE_OPERATOR,
    MODEL,
    PLANNED,
    TEXTS,
    UNWHOLE_CLASSES,
    bad_classes,
    bad_models,
    unplannable_models,
)
from tests.integration.operator import condition, start_operator, until
from tests.integration.refusals import refusals
from tests.unit.cli.command_line import freehold

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.base import ApiModel, Rule
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.partial import model_in
from freehold.kube.client import KubeClient, load_configuration
from freehold.kube.errors import KubeError
from freehold.kube.resources import ACCELERATOR_CLASSES, MODEL_DEPLOYMENTS, Resource
from freehold.manifest_files import read

NAMESPACE = "models"
Object = dict[str, Any]
MODELS = bad_models()
CLASSES = bad_classes()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of its own with the policies, and with the operator at work."""
    with guarded_cluster({NAMESPACE: {}}) as found, Processes.begin("freehold-test-") as processes:
        found.apply_crds(kuberay_crds())
        arguments = (f"--namespace={NAMESPACE}", "--no-leader-election")
        start_operator(processes, found.kubeconfig, {}, *arguments)
        yield found


def create_all(cluster: Cluster, resource: Resource, items: Mapping[str, Object]) -> dict[str, str]:
    """Create objects with strict field validation; return what was said against each, or ""."""

    async def create() -> dict[str, str]:
        async with KubeClient(await load_configuration(str(cluster.kubeconfig))) as client:

            async def refusal(item: Object) -> str:
                try:
                    await client.create(resource, item)
                except KubeError as error:
                    return str(error)
                return ""

            return dict(
                zip(items, await asyncio.gather(*map(refusal, items.values())), strict=True)
            )

    return asyncio.run(create())


def named(items: Mapping[str, Object], own: Object, namespace: str | None) -> dict[str, Object]:
    """Return objects, each under names of its own unless a name is what is wrong with it."""
    found = {}
    for number, (what, item) in enumerate(items.items()):
        metadata = dict(item["metadata"])
        if metadata["name"] == own["metadata"]["name"]:
            metadata["name"] = f"case-{number}"
        if namespace is not None:
            metadata["namespace"] = namespace
        found[what] = {**item, "metadata": metadata}
    return found


@pytest.fixture(scope="module")
def models() -> dict[str, Object]:
    return named(MODELS, MODEL, NAMESPACE)


@pytest.fixture(scope="module")
def refused_models(cluster: Cluster, models: dict[str, Object]) -> dict[str, str]:
    return create_all(cluster, MODEL_DEPLOYMENTS, models)


def fields_at_fault(folder: Path, text: str) -> list[str]:
    """Return the fields at which ``freehold validate`` finds faults; "" is a whole document."""
    file = folder / "manifest.yaml"
    file.write_text(text)
    return [it.fault.path for it in read([str(file)]).manifests.faults]


def rules_within(kind: type[ApiModel]) -> Iterator[Rule]:
    """Yield the rules of a type and of all that is in it."""
    yield from kind.rules
    for field in kind.model_fields.values():
        inner = model_in(field.annotation)
        if inner is not None:
            yield from rules_within(inner)


def is_named(field: str, told: str) -> bool:
    """Tell whether a message names a field; of metadata it may name what holds the field."""
    _, _, within = field.partition("metadata.")
    return field in told or (bool(within) and f"ObjectMeta.{within.partition('.')[0]}" in told)


def wait_until_told(cluster: Cluster, item: Object, words: Iterable[str]) -> None:
    """Wait until the operator says of a model that it is not carried out, with one of the words."""
    name = item["metadata"]["name"]

    def told() -> bool:
        ready = condition(cluster.get("fmd", name, NAMESPACE), "Ready")
        message = str(ready.get("message"))
        return ready.get("status") == "False" and any(it in message for it in words)

    until(f"the operator says of {name} one of {list(words)}", told)


@pytest.mark.parametrize("what", MODELS)
def test_what_is_wrong_with_a_model_is_told_on_both_ways(
    cluster: Cluster,
    models: dict[str, Object],
    refused_models: dict[str, str],
    what: str,
    tmp_path: Path,
) -> None:
    fields = fields_at_fault(tmp_path, json.dumps(models[what]))
    assert fields
    if what not in LEFT_TO_THE_OPERATOR:
        assert [it for it in fields if is_named(it, refused_models[what])], refused_models[what]
    else:
        assert refused_models[what] == ""
        wait_until_told(cluster, models[what], fields)


@pytest.fixture(scope="module")
def refused_classes(cluster: Cluster) -> dict[str, str]:
    return create_all(cluster, ACCELERATOR_CLASSES, named(CLASSES, CLASS, None))


@pytest.mark.parametrize("what", CLASSES)
def test_what_is_wrong_with_a_class_is_told_on_both_ways(
    refused_classes: dict[str, str], what: str, tmp_path: Path
) -> None:
    fields = fields_at_fault(tmp_path, json.dumps(CLASSES[what]))
    assert fields
    assert [it for it in fields if is_named(it, refused_classes[what])], refused_classes[what]


@pytest.mark.parametrize("what", UNWHOLE_CLASSES)
def test_a_class_without_a_whole_parent_is_told_by_the_model_that_names_it(
    cluster: Cluster, what: str, tmp_path: Path
) -> None:
    """Its parent may come later, so that the class itself is let in."""
    classes = UNWHOLE_CLASSES[what]
    chosen = {"candidates": [{"name": "mine", "accelerator": "mine"}]}
    model = {
        **MODEL,
        "metadata": {"name": what.replace(" ", "-"), "namespace": NAMESPACE},
        "spec": {**MODEL["spec"], "hardware": chosen},
    }
    faults = fields_at_fault(tmp_path, "\n---\n".join(map(json.dumps, classes)))
    assert faults
    cluster.apply(*classes)
    try:
        cluster.apply(model)
        wait_until_told(cluster, model, [*faults, "spec.hardware.candidates[0].accelerator"])
    finally:
        names = [it["metadata"]["name"] for it in classes]
        cluster.kubectl("delete", "acceleratorclasses", *names)


@pytest.mark.parametrize("what", TEXTS)
def test_what_is_no_manifest_is_refused_on_both_ways(
    cluster: Cluster, what: str, tmp_path: Path
) -> None:
    assert fields_at_fault(tmp_path, TEXTS[what])
    assert refusals(cluster, NAMESPACE, {what: TEXTS[what]})[what]


@pytest.mark.parametrize("what", PLANNED)
def test_what_only_a_plan_finds_is_told_on_both_ways(
    cluster: Cluster, what: str, tmp_path: Path
) -> None:
    model = unplannable_models()[what]
    model["metadata"] = {"name": what.replace(" ", "-"), "namespace": NAMESPACE}
    file = tmp_path / "manifest.yaml"
    file.write_text(json.dumps(model))
    assert freehold("validate", str(file)).exit_code == 0
    planned = freehold("plan", "--offline", str(file))
    _, sentence = PLANNED[what]
    assert planned.exit_code != 0
    assert sentence in planned.output
    cluster.apply(model)
    wait_until_told(cluster, model, [sentence])


def test_every_rule_of_the_kinds_is_broken_by_some_manifest(
    refused_models: dict[str, str], refused_classes: dict[str, str]
) -> None:
    told = " ".join([*refused_models.values(), *refused_classes.values()])
    rules = [rule for kind in (ModelDeployment, AcceleratorClass) for rule in rules_within(kind)]
    assert len(rules) > 20
    assert [rule.message for rule in rules if rule.message not in told] == []
