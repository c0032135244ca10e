"""A release's life by the real Helm: install, upgrade, rollback, uninstall, and what stays."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.control_plane.cluster import Cluster, KubectlFailed
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import wait_for
from tests.installation.helm import (
    CHART,
    CRDS_CHART,
    CRDS_RELEASE,
    RELEASE,
    SYSTEM,
    helm,
    install,
    uninstall,
)
from tests.installation.kuberay import kuberay_crds
from tests.integration.admission import refused, source
from tests.integration.harness import ROOT

EXAMPLE = ROOT / "examples" / "llama-3.1-8b.yaml"
KINDS = {"modeldeployments.freehold.dev", "acceleratorclasses.freehold.dev"}


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    """A cluster of our own: kinds belong to a whole cluster, and these tests change them."""
    with ControlPlane() as own:
        own.cluster.add_nodes([SimulatedNode("one"), SimulatedNode("two")])
        own.cluster.kubectl("create", "namespace", SYSTEM)
        own.cluster.kubectl(
            *("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted")
        )
        yield own.cluster


@pytest.fixture
def installed(plane: Cluster) -> Iterator[Cluster]:
    """Both charts, as README has them, on a cluster where nothing else is left."""
    install(plane, CRDS_RELEASE, CRDS_CHART)
    install(plane, RELEASE, CHART)
    yield plane
    uninstall(plane, RELEASE)
    uninstall(plane, CRDS_RELEASE)


def replicas(cluster: Cluster) -> int:
    deployment = cluster.get("deployment", RELEASE, SYSTEM)
    assert deployment is not None
    return int(deployment["spec"]["replicas"])


def test_the_notes_name_what_is_missing_and_nothing_else(plane: Cluster) -> None:
    """The first test: a cluster that has had the kinds keeps them."""
    try:
        notes = install(plane, RELEASE, CHART)
        assert "install the chart freehold-crds" in notes
        assert "KubeRay is missing" in notes
        install(plane, CRDS_RELEASE, CRDS_CHART)
        plane.apply_crds(kuberay_crds())
        notes = install(plane, RELEASE, CHART, {"watchNamespaces": [SYSTEM]})
        assert f"serves the ModelDeployments of {SYSTEM}." in notes
        assert "missing" not in notes
    finally:
        uninstall(plane, RELEASE)
        uninstall(plane, CRDS_RELEASE)


def test_the_operators_pods_run_on_different_nodes(installed: Cluster) -> None:
    pods = installed.list("pods", SYSTEM, f"app.kubernetes.io/instance={RELEASE}")
    assert {pod["spec"]["nodeName"] for pod in pods} == {"one", "two"}
    deployment = installed.get("deployment", RELEASE, SYSTEM)
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 2


def test_an_upgrade_brings_a_field_and_a_rollback_takes_it_back(
    installed: Cluster, tmp_path: Path
) -> None:
    model = yaml.safe_load(EXAMPLE.read_text())
    model["spec"]["later"] = "added"
    check = ("apply", "--dry-run=server", "--validate=strict", "--filename=-")
    with pytest.raises(KubectlFailed, match=r'unknown field "spec\.later"'):
        installed.kubectl(*check, stdin=yaml.safe_dump(model))
    install(installed, CRDS_RELEASE, _with_field(tmp_path))
    # the API server takes a new schema up a moment after the CRD was written
    wait_for("the field is there", lambda: _succeeds(installed, *check, model=model), 30)
    helm(installed, "rollback", CRDS_RELEASE, "--wait", f"--namespace={SYSTEM}")
    crd = installed.get("crd", "modeldeployments.freehold.dev")
    assert crd is not None
    (version,) = crd["spec"]["versions"]
    assert "later" not in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def _succeeds(cluster: Cluster, *command: str, model: dict[str, Any]) -> bool:
    return cluster.run("kubectl", *command, stdin=yaml.safe_dump(model)).returncode == 0


def _with_field(folder: Path) -> Path:
    """Return the chart of the kinds as a later release might be: with ``spec.later``."""
    chart = folder / "freehold-crds"
    shutil.copytree(CRDS_CHART, chart)
    template = chart / "templates" / "freehold.dev_modeldeployments.yaml"
    text = template.read_text()
    first = "          spec:\n            description: "
    assert text.count(first) == 1
    head, tail = text.split(first)
    fields = "            properties:\n"
    line, rest = tail.split(fields, 1)
    later = "              later:\n                type: string\n"
    template.write_text(f"{head}{first}{line}{fields}{later}{rest}")
    return chart


def test_the_operator_is_upgraded_and_rolled_back(installed: Cluster) -> None:
    assert replicas(installed) == 2
    install(installed, RELEASE, CHART, {"replicas": 1})
    assert replicas(installed) == 1
    assert installed.get("poddisruptionbudget", RELEASE, SYSTEM) is None
    helm(installed, "rollback", RELEASE, "--wait", "--timeout=60s", f"--namespace={SYSTEM}")
    assert replicas(installed) == 2
    assert installed.get("poddisruptionbudget", RELEASE, SYSTEM) is not None


def test_the_policies_follow_the_values_of_the_release(installed: Cluster) -> None:
    spec = source("/srv/models/llama")

    def is_admitted() -> bool:
        return refused(installed, "default", **spec) == ""

    # the API server takes a policy up a moment after it was written
    wait_for("the policies are in force", lambda: not is_admitted(), 30)
    install(installed, RELEASE, CHART, {"admission": {"hostPathPrefixes": ["/srv/models"]}})
    wait_for("the path is allowed", is_admitted, 30)
    helm(installed, "rollback", RELEASE, "--wait", "--timeout=60s", f"--namespace={SYSTEM}")
    wait_for("the path is allowed no more", lambda: not is_admitted(), 30)
    install(installed, RELEASE, CHART, {"admission": {"enabled": False}})
    wait_for("every path is allowed", is_admitted, 30)


def test_uninstalling_keeps_the_kinds_and_every_model(installed: Cluster) -> None:
    installed.kubectl("apply", "--namespace=default", f"--filename={EXAMPLE}")
    before = installed.list("modeldeployments", "default")
    uninstall(installed, RELEASE)
    uninstall(installed, CRDS_RELEASE)
    assert {crd["metadata"]["name"] for crd in installed.list("crd")} >= KINDS
    assert installed.list("modeldeployments", "default") == before
    kinds = (
        "deployments,services,serviceaccounts,roles,rolebindings,clusterroles",
        "validatingadmissionpolicies,validatingadmissionpolicybindings",
    )
    left = installed.kubectl(
        *("get", ",".join(kinds)),
        *("--all-namespaces", "--output=name"),
        f"--selector=app.kubernetes.io/instance={RELEASE}",
    )
    assert left == ""
    # what was kept is taken up again, and the models with it
    install(installed, CRDS_RELEASE, CRDS_CHART)
    assert installed.list("modeldeployments", "default") == before


MAY = {
    ("list", "modeldeployments.freehold.dev", "default"): "yes",
    ("create", "configmaps", "default"): "yes",
    ("create", "leases.coordination.k8s.io", SYSTEM): "yes",
    ("create", "leases.coordination.k8s.io", "default"): "no",
    ("update", "modeldeployments.freehold.dev", "default"): "no",
    # those that read the sources of models
    ("create", "pods", "default"): "yes",
    ("patch", "pods", "default"): "no",
    ("get", "secrets", "default"): "no",
    ("list", "secrets", SYSTEM): "no",
}


def test_the_service_account_may_what_it_needs_and_no_more(installed: Cluster) -> None:
    account = f"--as=system:serviceaccount:{SYSTEM}:{RELEASE}"
    answers = {
        asked: installed.run(
            "kubectl", "auth", "can-i", *asked[:2], f"--namespace={asked[2]}", account
        ).stdout.strip()
        for asked in MAY
    }
    assert answers == MAY


def test_people_who_may_edit_a_namespace_may_edit_its_models(installed: Cluster) -> None:
    for role, allowed in {"view": "no", "edit": "yes"}.items():
        installed.kubectl(
            *("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}"),
            "--namespace=default",
        )
        asked = ("auth", "can-i", "create", "modeldeployments.freehold.dev", f"--as={role}")
        done = installed.run("kubectl", *asked, "--namespace=default")
        installed.kubectl("delete", "rolebinding", role, "--namespace=default")
        assert done.stdout.strip() == allowed, role
