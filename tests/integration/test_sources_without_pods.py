"""An operator that was given no image for pods reads public hubs alone."""

from __future__ import annotations

from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.one_model import Model
from tests.integration.operator import example, start_operator


def test_its_own_files_are_never_read_for_a_tenant(
    cluster: Cluster, namespace: str, kuberay: KubeRay, processes: Processes
) -> None:
    environment = {"HTTP_PROXY": kuberay.ray.url}
    start_operator(processes, cluster.kubeconfig, environment, "--no-leader-election")
    model = Model(cluster, namespace, "gemma-3-270m", kuberay)
    source = {"model": {"source": f"file://{processes.folder}"}}
    model.apply(example("gemma-3-270m", **source) | {"metadata": {"name": model.name}})
    model.wait("Planned", "False", "UnknownModel")
    told = "found a file:// source, which planning cannot read; allowed: a source that can be read"
    assert f"{told} from here (hf://), or" in model.told("Planned")
