"""A real node with Freehold installed from its packaged charts, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.model import ENGINE_SECONDS, Model
from tests.node.installation import (
    QUICK_START,
    Installation,
    install_packaged,
    node_with_kuberay,
)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The node, with everything installed."""
    with node_with_kuberay() as found:
        install_packaged(found.cluster, tmp_path_factory.mktemp("charts"))
        yield found


@pytest.fixture(scope="session")
def model(installation: Installation) -> Iterator[Model]:
    """The quick start's model, at zero when it is first there, in a namespace of its own."""
    with Model.deployed(installation.cluster, QUICK_START) as found:
        yield found


@pytest.fixture(scope="module")
def awake(model: Model) -> Model:
    """The model with a replica that answers, and stays."""
    model.edit(autoscaling={"minReplicas": 1})
    model.wait("Ready", "True", "Answers", ENGINE_SECONDS)
    model.until("a worker pod is ready", lambda: model.settled("worker"))
    return model
