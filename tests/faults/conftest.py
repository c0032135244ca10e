"""Each fault once: a test whose record of the present product is there is left out.

A record is written once its test has passed. ``--again`` runs those that have one all the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from tests.cluster.model import ENGINE_SECONDS, Model
from tests.faults.records import Records, product_digest
from tests.faults.story import Story
from tests.node.installation import (
    QUICK_START,
    Installation,
    install_packaged,
    node_with_kuberay,
)

# Two engines start one after the other, on cores that they share with one that answers.
_SECONDS = 1800
Keep = Callable[[Story], None]
_PASSED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--again", action="store_true", help="Run faults that have their record, too.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(_SECONDS))
    if config.getoption("--again"):
        return
    records, product = Records.read(), product_digest()
    done = [it for it in items if records.done(it.name, product)]
    config.hook.pytest_deselected(items=done)
    items[:] = [it for it in items if it not in done]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Iterator[Keep]:
    """Take what became of a fault, which is written into the records if the test passes."""
    product, kept = product_digest(), list[Story]()
    yield kept.append
    for story in kept:
        if request.node.stash.get(_PASSED, False):
            Records.read().keep(request.node.name, story.record(product))


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The node, with everything installed."""
    with node_with_kuberay() as found:
        install_packaged(found.cluster, tmp_path_factory.mktemp("charts"))
        yield found


@pytest.fixture(scope="module")
def model(installation: Installation) -> Iterator[Model]:
    """The quick start's model, kept awake, in a namespace of the module's own."""
    with Model.deployed(installation.cluster, QUICK_START, "faults") as found:
        found.edit(autoscaling={"minReplicas": 1})
        yield found


@pytest.fixture
def served(model: Model) -> Model:
    """The model with one replica that answers."""
    model.edit(autoscaling={"minReplicas": 1, "maxReplicas": 1})
    model.wait("Ready", "True", "Answers", ENGINE_SECONDS)
    model.until("one worker pod runs", lambda: len(model.pods("worker")) == 1)
    return model


@pytest.fixture
def doubled(model: Model) -> Model:
    """The model with two replicas that answer."""
    model.edit(autoscaling={"minReplicas": 2, "maxReplicas": 2})
    model.until("two replicas answer", lambda: model.status.get("readyReplicas") == 2)
    model.wait("Ready", "True", "Answers", ENGINE_SECONDS)
    return model


@pytest.fixture
def place(installation: Installation) -> Iterator[Callable[[str], Model]]:
    """Models in a namespace of the test's own, each with the story of it."""
    cluster, namespace = installation.cluster, "new-models"
    cluster.kubectl("create", "namespace", namespace)
    yield lambda name: Model(cluster, namespace, name)
    cluster.kubectl("delete", "fmd", "--all", f"--namespace={namespace}")
    cluster.kubectl("delete", "namespace", namespace)


@pytest.fixture
def broken_weights() -> Iterator[Path]:
    """A folder of the node's own, below what the chart allows, for weights that are no good."""
    folder = Path("/var/tmp/freehold/faults")
    folder.mkdir(exist_ok=True)
    yield folder
    shutil.rmtree(folder)
