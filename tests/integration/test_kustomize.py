"""The kustomization in the documentation, built by kubectl's own Kustomize and applied."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.control_plane.cluster import Cluster
from tests.integration.harness import ROOT, Kubectl

COMPONENT = ROOT / "integrations" / "kustomize"
EXAMPLES = ("llama-3.1-8b.yaml", "llama-3.1-70b.yaml")
Built = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A folder with the kustomization of README beside two examples."""
    found = re.search(r"```yaml\n(.*?)```", (COMPONENT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    documented = yaml.safe_load(found[1])
    assert documented["resources"] == list(EXAMPLES)
    documented["components"] = [os.path.relpath(COMPONENT, tmp_path)]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(documented))
    (tmp_path / "hf-token.env").write_text("HF_TOKEN=secret\n")
    for name in EXAMPLES:
        shutil.copy(ROOT / "examples" / name, tmp_path)
    return tmp_path


def build(cluster: Cluster, overlay: Path) -> Built:
    documents = yaml.safe_load_all(cluster.kubectl("kustomize", overlay))
    return {(it["kind"], it["metadata"]["name"]): it for it in documents}


def test_names_images_and_counts_are_followed(cluster: Cluster, overlay: Path) -> None:
    built = build(cluster, overlay)
    (secret,) = (name for kind, name in built if kind == "Secret")
    assert secret.startswith("blue-hf-token-")
    small = built["ModelDeployment", "blue-llama-3-1-8b"]
    large = built["ModelDeployment", "blue-llama-3-1-70b"]
    for model in (small, large):
        assert model["metadata"]["labels"] == {"team": "blue"}
        assert model["spec"]["model"]["credentials"]["secretRef"]["name"] == secret
    assert large["spec"]["replicas"] == 3
    assert "replicas" not in small["spec"]
    assert small["spec"]["hardware"]["candidates"][0]["purchase"] == "OnDemand"
    (image,) = small["spec"]["engine"]["images"]
    assert image["image"] == "mirror.example.com/rayproject/ray-llm:2.60.0-py312-cu130"


def test_the_api_server_takes_what_is_built_and_a_second_time_changes_nothing(
    kubectl: Kubectl, overlay: Path
) -> None:
    kubectl("apply", "--server-side", "--validate=strict", f"--kustomize={overlay}")
    answer = kubectl("get", "modeldeployments", "--output=name").split()
    prefix = "modeldeployment.freehold.dev/blue-llama-3-1"
    assert sorted(answer) == [f"{prefix}-70b", f"{prefix}-8b"]
    kubectl("diff", "--server-side", f"--kustomize={overlay}")


ENTRIES = [
    (entry["kind"], place["kind"], place["path"])
    for entry in yaml.safe_load((COMPONENT / "fields.yaml").read_text())["nameReference"]
    for place in entry["fieldSpecs"]
]


@pytest.mark.parametrize(("kind", "owner", "path"), ENTRIES)
def test_a_name_is_followed(
    cluster: Cluster, tmp_path: Path, kind: str, owner: str, path: str
) -> None:
    """Every field that the component names exists in the type and follows the name it holds."""
    referrer = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": owner,
        "metadata": {"name": "referrer"},
        "spec": _holding("named", path.split("/")[1:]),
    }
    groups = {"AcceleratorClass": "freehold.dev/v1alpha1"}
    named = {"apiVersion": groups.get(kind, "v1"), "kind": kind, "metadata": {"name": "named"}}
    kustomization = {
        "resources": ["objects.yaml"],
        "components": [os.path.relpath(COMPONENT, tmp_path)],
        "namePrefix": "blue-",
    }
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all([named, referrer]))
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    built = build(cluster, tmp_path)
    assert built[owner, "blue-referrer"]["spec"] == _holding("blue-named", path.split("/")[1:])


# The fields above that are lists, so that a test can build an object from a path.
LISTS = {
    *("candidates", "containers", "env", "envFrom", "images"),
    *("imagePullSecrets", "initContainers", "volumes"),
}


def _holding(value: str, path: list[str]) -> Any:
    if not path:
        return value
    name, *rest = path
    held = _holding(value, rest)
    return {name: [held] if name in LISTS else held}
