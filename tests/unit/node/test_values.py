"""The values by which Freehold is installed on the real node."""

from __future__ import annotations

import yaml
from tests.installation.helm import CHART
from tests.node.installation import VALUES
from tests.node.machine import HOST_ADDRESS


def test_kuberay_is_who_the_chart_says_and_the_process_beside_the_node() -> None:
    of_chart = yaml.safe_load((CHART / "values.yaml").read_text())["networkPolicy"]["kuberay"]
    beside = {"ipBlock": {"cidr": f"{HOST_ADDRESS}/32"}}
    assert VALUES["networkPolicy"]["kuberay"] == [*of_chart, beside]
