"""A random life of some models: made, edited, suspended, deleted, and spoiled by hand.

Some edits fail: Serve is to refuse every application with ``REFUSED`` in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.integration.harness import objects_list
from tests.integration.models import Models, of
from tests.integration.operator import example

Object = dict[str, Any]
L4, H100 = ({"name": it.split("-")[0], "accelerator": it} for it in ("l4-24gb", "h100-80gb"))
CANDIDATES = ([L4], [H100], [L4, H100], [H100, L4])
SPOILED = ("service", "rayservice", "configmap")
# Only pods that miss a Secret and edits that KubeRay cannot take up tell that it is gone; pods of
# simulated nodes never do, and here edits come one upon the other.
LOST = (*SPOILED, "controllerrevision")
REFUSED = "enforce_eager"
NAMES = ("ada", "bea", "cleo", "dora", "elsa")


@dataclass
class Story:
    """What was done so far, and what should have come of it.

    Attributes:
        models: Where it happens.
        random: Decides; the same seed tells the same story.
        wanted: The spec of each model that is there.
        told: What was done, for whoever reads a failure.
    """

    models: Models
    random: Random
    wanted: dict[str, Object] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def go_on(self) -> None:
        """Do something to one of the models."""
        name = self.random.choice(NAMES)
        if name not in self.wanted:
            self._tell(f"make {name}")
            return self._apply(name, example("llama-guard-3-8b")["spec"])
        what = self.random.choice(self._possible())
        return what(name)

    def _possible(self) -> list[Callable[[str], None]]:
        edits = [self._scale, self._change_engine, self._change_hardware, self._suspend]
        return [
            *edits,
            self._fail,
            self._delete,
            self._replace,
            self._lose_child,
            self._spoil_child,
        ]

    def _scale(self, name: str) -> None:
        self._edit(name, replicas=self.random.choice((1, 2)))

    def _change_engine(self, name: str) -> None:
        self._edit(name, engine={"args": {"max_num_seqs": self.random.choice((16, 24, 32))}})

    def _fail(self, name: str) -> None:
        """Ask for what Serve refuses, and for that to be given up soon."""
        engine = {"args": {REFUSED: True, "max_num_seqs": self.random.choice((16, 24, 32))}}
        self._edit(name, engine=engine, rollout={"progressDeadline": "1s"})

    def mend(self) -> None:
        """Ask for what Serve takes, of every model that is asked for otherwise."""
        for name, spec in self.wanted.items():
            if REFUSED in json.dumps(spec):
                self._change_engine(name)

    def _change_hardware(self, name: str) -> None:
        self._edit(name, hardware={"candidates": self.random.choice(CANDIDATES)})

    def _suspend(self, name: str) -> None:
        self._edit(name, suspend=not self.wanted[name].get("suspend", False))

    def _edit(self, name: str, **spec: Any) -> None:
        self._tell(f"edit {name}: {spec}")
        # the short deadline is for what is to fail alone
        former = {field: it for field, it in self.wanted[name].items() if field != "rollout"}
        self._apply(name, former | spec)

    def _apply(self, name: str, spec: Object) -> None:
        self.wanted[name] = spec
        self.models.kubectl("apply", "-f-", stdin=json.dumps(model(name, spec)))

    def _delete(self, name: str) -> None:
        self._tell(f"delete {name}")
        del self.wanted[name]
        self.models.kubectl("delete", "fmd", name, "--wait=false")

    def _replace(self, name: str) -> None:
        """Delete a model and make it again before anything of it is gone."""
        spec = self.wanted[name]
        self._delete(name)
        self._tell(f"make {name} again")
        self._apply(name, spec)

    def _lose_child(self, name: str) -> None:
        kind = self.random.choice(LOST)
        self._tell(f"delete the {kind} of {name}")
        self.models.kubectl("delete", kind, "-l", of(name), "--wait=false")

    def _spoil_child(self, name: str) -> None:
        kind = self.random.choice(SPOILED)
        self._tell(f"spoil the {kind} of {name}")
        label = "app.kubernetes.io/managed-by=somebody"
        self.models.kubectl("label", kind, "-l", of(name), "--overwrite", label)

    def _tell(self, what: str) -> None:
        self.told.append(what)


def model(name: str, spec: Object) -> Object:
    """Return a ModelDeployment."""
    metadata = {"name": name}
    return {**example("llama-guard-3-8b"), "metadata": metadata, "spec": spec}


def manifests(wanted: dict[str, Object]) -> str:
    """Return all models as a text that kubectl takes."""
    return objects_list(model(name, spec) for name, spec in wanted.items())
