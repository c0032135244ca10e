"""A real node with Freehold installed as README tells, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.model import ENGINE_SECONDS, Model
from tests.cluster.readme import QuickStart
from tests.network.matrix import MODELS
from tests.node.installation import Installation, node_with_kuberay


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """The node with KubeRay; ``quick_start`` installs Freehold on it."""
    with node_with_kuberay() as found:
        yield found


@pytest.fixture(scope="session")
def quick_start(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> QuickStart:
    """README's quick start, as far as a model that is ready; nobody has asked it yet."""
    cluster = installation.cluster
    cluster.kubectl("create", "namespace", MODELS)
    found = QuickStart.of_user(cluster, MODELS, tmp_path_factory.mktemp("user"))
    found.install()
    return found


@pytest.fixture(scope="session")
def model(installation: Installation, quick_start: QuickStart) -> Model:
    """The quick start's model, at zero when it is first there; it ends with its node."""
    return Model(installation.cluster, MODELS, "gemma-3-270m")


@pytest.fixture(scope="module")
def awake(model: Model) -> Model:
    """The model with a replica that answers, and stays."""
    model.edit(autoscaling={"minReplicas": 1})
    model.wait("Ready", "True", "Answers", ENGINE_SECONDS)
    model.until("a worker pod is ready", lambda: model.settled("worker"))
    return model
