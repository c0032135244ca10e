"""README's quick start for a cluster, run by a shell as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.control_plane.cluster import Cluster
from tests.control_plane.pinned import tool
from tests.installation import ROOT

_BLOCK = re.compile(r"```sh\nmake node\n(.*?)```", re.DOTALL)
# What is before this installs and applies; from here on a client asks.
_ASKS = "kubectl port-forward"
# A shell that a person closes ends what it left in the background.
_SHELL = ("bash", "-euc")
_AT_THE_END = "trap 'jobs -p | xargs --no-run-if-empty kill' EXIT\n"


@dataclass(frozen=True)
class QuickStart:
    """What follows ``make node`` there, for a user whose context names a namespace.

    Attributes:
        kubeconfig: The user's.
    """

    kubeconfig: Path

    @classmethod
    def of_user(cls, cluster: Cluster, namespace: str, folder: Path) -> QuickStart:
        """Return it for an administrator of a cluster who works in a namespace.

        Args:
            cluster: The cluster.
            namespace: The namespace, which is there.
            folder: Where the kubeconfig is written.
        """
        kubeconfig = Path(shutil.copy(cluster.kubeconfig, folder))
        use = ("config", "set-context", "--current", f"--namespace={namespace}")
        Cluster(kubeconfig).kubectl(*use)
        return cls(kubeconfig)

    def install(self) -> None:
        """Install Freehold and apply the model, and wait as README waits."""
        self._run(_commands()[0])

    def ask(self) -> str:
        """Return what README's request is answered."""
        return self._run(_commands()[1])

    def _run(self, commands: str) -> str:
        # ``make node`` prints a line that puts these on the path
        programs = [str(tool(it).parent) for it in ("kubectl", "helm")]
        path = os.pathsep.join([*programs, os.environ["PATH"]])
        # no proxy of the environment stands between this machine and its node
        direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "*")
        done = subprocess.run(
            [*_SHELL, _AT_THE_END + commands],
            cwd=ROOT,
            env=Cluster(self.kubeconfig).environment | direct | {"PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def _commands() -> tuple[str, str]:
    (block,) = _BLOCK.findall((ROOT / "README.md").read_text())
    installs, asks, rest = block.partition(_ASKS)
    return installs, asks + rest
