"""The rights that the chart gives are enough for the operator, and each of them is needed."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import yaml
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.plane import ControlPlane
from tests.fake_ray.control import Control
from tests.installation.describe_pods import end_describing
from tests.installation.kuberay import KubeRay
from tests.integration.harness import ROOT
from tests.integration.rights import (
    Installed,
    Object,
    Right,
    operators_objects,
    rights_of,
    running,
    without,
)
from tests.ports import free_port

from freehold.render.source_pin import SourcePin
from freehold.sources.told import Told, tell

NAME = "guard"
SECONDS = 25.0
LEASES, EVENTS = "coordination.k8s.io", "events.k8s.io"
NETWORKING = "networking.k8s.io"
CHILDREN = ("networkpolicy", "configmap", "service", "rayservice")
ENDS = "give its service account the rights that Freehold's chart gives it"
STARTS = "it leads and watches all that it needs"
RENEWS = "it renews its lease"
WRITES = "it writes the model's objects and status"
MENDS = "it mends what was changed by hand"
SCALES = "it brings bounds to the live cluster"
RETURNS = "it takes up an earlier revision"
FINDS = "it finds a revision that it could not see"
PRUNES = "it removes what is not used any more"
GIVES_UP = "it gives up a cluster that was to take over"
STARTS_OVER = "it makes anew what KubeRay has given up"
DESCRIBES = "it has a pod read a source, and removes it when it has told"
RECREATES = "it deletes the cluster that must be another"


def _rights(group: str, resource: str, verbs: str, at: str) -> dict[Right, str]:
    return {Right(group, resource, verb): at for verb in verbs.split()}


# At which step of the scenario the operator has to do without a right, until it was refused what it
# needs it for. Watches it gets by without, by listing again and again, which is no way to run it.
NEEDED_AT = {
    **_rights(LEASES, "leases", "get create", STARTS),
    **_rights(LEASES, "leases", "update", RENEWS),
    **_rights("", "nodes", "list watch", STARTS),
    **_rights("freehold.dev", "acceleratorclasses", "list watch", STARTS),
    **_rights("freehold.dev", "modeldeployments", "list watch", STARTS),
    **_rights("freehold.dev", "modeldeployments/status", "patch", WRITES),
    **_rights("ray.io", "rayservices", "list watch", STARTS),
    **_rights("ray.io", "rayservices", "create", WRITES),
    **_rights("ray.io", "rayservices", "get patch", MENDS),
    **_rights("ray.io", "rayservices", "delete", STARTS_OVER),
    **_rights("ray.io", "rayservices/status", "patch", GIVES_UP),
    **_rights("ray.io", "rayclusters", "list watch", STARTS),
    **_rights("ray.io", "rayclusters", "patch", SCALES),
    # one that is given up is deleted by KubeRay as well, a minute later
    **_rights("ray.io", "rayclusters", "delete", RECREATES),
    **_rights("apps", "controllerrevisions", "list watch", STARTS),
    **_rights("apps", "controllerrevisions", "create", WRITES),
    **_rights("apps", "controllerrevisions", "get delete", FINDS),
    **_rights("apps", "controllerrevisions", "patch", RETURNS),
    **_rights("", "services", "list watch", STARTS),
    **_rights("", "services", "create", WRITES),
    # it looks whether somebody else's has the name before hardware is asked for
    **_rights("", "services", "get", WRITES),
    **_rights("", "services", "patch", MENDS),
    **_rights("", "configmaps", "list watch", STARTS),
    **_rights("", "configmaps", "create", WRITES),
    **_rights("", "configmaps", "get patch", MENDS),
    **_rights("", "configmaps", "delete", PRUNES),
    **_rights(NETWORKING, "networkpolicies", "list watch", STARTS),
    **_rights(NETWORKING, "networkpolicies", "create", WRITES),
    **_rights(NETWORKING, "networkpolicies", "get patch", MENDS),
    **_rights(NETWORKING, "networkpolicies", "delete", PRUNES),
    # the installation's key
    **_rights("", "secrets", "create", STARTS),
    **_rights("", "pods", "list watch", STARTS),
    **_rights("", "pods", "create delete", DESCRIBES),
    **_rights(EVENTS, "events", "create", WRITES),
}


def needed_at(step: str) -> set[Right]:
    return {right for right, at in NEEDED_AT.items() if at == step}


@dataclass(frozen=True)
class Step:
    """Something that happens, and what the operator does about it."""

    sentence: str
    happens: Callable[[], object]
    done: Callable[[], bool]


@dataclass
class Scenario:
    """The life of one model, made so that the operator uses every right it has.

    Attributes:
        given: The operator's objects as the chart makes them, with all their rights.
        taken: Rights that it does not have at present.
    """

    cluster: Cluster
    system: str
    models: str
    operator: Installed
    given: list[Object]
    ray: Control
    taken: set[Right]

    def steps(self) -> list[Step]:
        return [
            Step(STARTS, lambda: None, self._watches),
            Step(RENEWS, lambda: None, self._renewed),
            Step(WRITES, self._apply, self._written),
            Step(MENDS, self._spoil, self._mended),
            Step(SCALES, lambda: self._edit({"replicas": 2}), self._scaled),
            Step(RETURNS, self._go_and_return, self._returned),
            Step(FINDS, self._hide_revision, self._found),
            Step(PRUNES, self._leave_behind, self._pruned),
            Step(GIVES_UP, self._go_and_return_early, self._given_up),
            Step(STARTS_OVER, self._time_out, self._started_over),
            Step(DESCRIBES, self._hand_over_a_token, self._described),
            Step(RECREATES, self._ask_for_another, self._recreated),
            Step("it forgets a model that is deleted", self._delete, self._gone),
        ]

    def run(self) -> None:
        """Go through the steps, each without its rights until the operator asked for them."""
        for step in self.steps():
            self.taken |= needed_at(step.sentence)
            self._hand_out()
            step.happens()
            self._wait(step)

    def _hand_out(self) -> None:
        self.cluster.apply(*(it for it in without(self.given, self.taken) if "rules" in it))

    def _wait(self, step: Step) -> None:
        """Wait until a step is done, giving back what was taken once it was asked for in vain.

        In between, what happens may be done while rights of its step are still to be asked for.
        """
        end = time.monotonic() + SECONDS
        while True:
            self._give_back()
            if step.done() and not (self.taken & needed_at(step.sentence)):
                return
            server = self.operator.process.server
            if not server.running:
                # without its key's Secret it cannot begin; a kubelet starts it again
                assert server.tail.endswith(ENDS), f"the operator ended: {server.tail}"
                server.start()
            if time.monotonic() > end:
                model = self.cluster.get("modeldeployment", NAME, self.models)
                never = ", ".join(map(str, self.taken)) or "nothing"
                what = f"not within {SECONDS:.0f} s: {step.sentence}; not asked for: {never}"
                raise AssertionError(f"{what}: {model and model.get('status')}: {server.tail}")
            time.sleep(0.1)

    def _give_back(self) -> None:
        self.operator.process.mount_key()
        self.operator.audit.read()
        if asked := self.operator.audit.denied & self.taken:
            self.taken -= asked
            self._hand_out()
            self._touch()

    def _touch(self) -> None:
        """Have the operator look now: at what was refused it looks again at its next turn only."""
        if self.cluster.get("modeldeployment", NAME, self.models) is not None:
            touched = {"metadata": {"annotations": {"touched": str(len(self.taken))}}}
            self._patch("modeldeployment", NAME, touched)

    def _watches(self) -> bool:
        wanted = {right for right in NEEDED_AT if right.verb in ("list", "watch")}
        return wanted <= self.operator.audit.used and self.operator.process.is_ready()

    def _renewed(self) -> bool:
        lease = self.cluster.get("lease", "freehold-operator", self.system)
        return bool(lease and lease["spec"]["renewTime"] > lease["spec"]["acquireTime"])

    def _apply(self) -> None:
        model = yaml.safe_load((ROOT / "examples" / "llama-guard-3-8b.yaml").read_text())
        model["metadata"]["name"] = NAME
        # public, and known without asking its hub
        del model["spec"]["model"]["credentials"]
        model["spec"]["model"]["source"] = "hf://Qwen/Qwen3-8B"
        self.cluster.apply(model, namespace=self.models)

    def _written(self) -> bool:
        children = (*CHILDREN, "raycluster")
        events = self.cluster.list("events.v1.events.k8s.io", self.models)
        (service,) = self._ours("service") or [{"spec": {"selector": {}}}]
        return (
            all(self._names(kind) for kind in children)
            and "ray.io/cluster" in service["spec"]["selector"]
            and bool(self._get("modeldeployment").get("status"))
            and any(it["regarding"].get("kind") == "ModelDeployment" for it in events)
        )

    def _spoil(self) -> None:
        spoil = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}}
        for kind in CHILDREN:
            for name in self._names(kind):
                self._patch(kind, name, spoil)

    def _mended(self) -> bool:
        managers = {
            it["metadata"]["labels"].get("app.kubernetes.io/managed-by")
            for kind in CHILDREN
            for it in self._ours(kind)
        }
        return managers == {"freehold"}

    def _scaled(self) -> bool:
        return all(
            group["minReplicas"] == 2
            for cluster in self._clusters()
            for group in cluster["spec"]["workerGroupSpecs"]
        )

    def _go_and_return(self) -> None:
        first = self._get("modeldeployment")["spec"]
        self._was = self._revision()
        self._edit({"workload": {"promptTokens": 900}})
        self._until(lambda: self._revision() != self._was)
        self._edit({"workload": first["workload"]})

    def _returned(self) -> bool:
        return self._revision() == self._was

    def _hide_revision(self) -> None:
        self._patch("controllerrevision", self._revision(), _labels({"freehold.dev/model": None}))

    def _found(self) -> bool:
        asked = Right("apps", "controllerrevisions", "get")
        return asked in self.operator.audit.used

    def _leave_behind(self) -> None:
        """Leave more revisions than are kept, and what an earlier release would have made."""
        self._patch("controllerrevision", self._revision(), _labels({"freehold.dev/model": NAME}))
        for kind in ("configmap", "networkpolicy"):
            one, *_ = self._ours(kind)
            self.cluster.apply(_copy(one, f"{NAME}-old"), namespace=self.models)
        for tokens in range(710, 724):
            before = self._revision()
            self._edit({"workload": {"promptTokens": tokens}})
            self._until(lambda before=before: self._revision() != before)

    def _pruned(self) -> bool:
        revisions = self._names("controllerrevision")
        left = {*self._names("configmap"), *self._names("networkpolicy")}
        return f"{NAME}-old" not in left and len(revisions) < 14

    def _go_and_return_early(self) -> None:
        """Ask for another cluster, and take that back before it has taken over."""
        self._until(lambda: _serving_with(self._get("rayservice")) != "")
        self._before = {_serving_with(self._get("rayservice"))}
        self.ray.steer(self.models, NAME, status="DEPLOYING", next_only=True)
        worker = {"spec": {"priorityClassName": "system-node-critical"}}
        self._edit({"templates": {"worker": worker}})
        self._until(lambda: len(self._clusters()) == 2)
        self._edit({"templates": None})

    def _given_up(self) -> bool:
        return self._before == {it["metadata"]["name"] for it in self._clusters()}

    def _time_out(self) -> None:
        """Have it come up again, too late for KubeRay."""
        self.ray.steer(self.models, NAME, status="DEPLOYING")
        self._edit({"suspend": True})
        self._until(lambda: not self._clusters())
        service = self._get("rayservice")
        self._before = {service["metadata"]["uid"]}
        annotations = {"ray.io/initializing-timeout": "1"}
        self._patch("rayservice", NAME, {"metadata": {"annotations": annotations}})
        self._edit({"suspend": False})

    def _started_over(self) -> bool:
        found = self.cluster.get("rayservice", NAME, self.models)
        if found is None or found["metadata"]["uid"] in self._before:
            return False
        self.ray.steer(self.models, NAME)
        return bool(self._clusters())

    def _hand_over_a_token(self) -> None:
        self._was = self._revision()
        self._edit({"model": {"credentials": {"secretRef": {"name": "hub"}}}})

    def _described(self) -> bool:
        selector = f"freehold.dev/model={NAME},freehold.dev/task=describe"
        pods = self.cluster.list("pods", self.models, selector)
        for pod in pods:
            if pod["status"].get("phase") == "Running":
                end_describing(self.cluster, pod, tell(Told(pin=SourcePin("0" * 40))))
        return not pods and self._revision() != self._was

    def _ask_for_another(self) -> None:
        self._before = {it["metadata"]["uid"] for it in self._clusters()}
        worker = {"spec": {"priorityClassName": "system-cluster-critical"}}
        others = {"templates": {"worker": worker}, "model": {"credentials": None}}
        self._edit({"rollout": {"type": "Recreate"}, **others})

    def _recreated(self) -> bool:
        return not self._before & {it["metadata"]["uid"] for it in self._clusters()}

    def _delete(self) -> None:
        self.cluster.kubectl(
            "delete", "modeldeployment", NAME, f"--namespace={self.models}", "--wait=false"
        )

    def _gone(self) -> bool:
        return not any(self._names(kind) for kind in (*CHILDREN, "controllerrevision"))

    def _get(self, kind: str) -> Object:
        found = self.cluster.get(kind, NAME, self.models)
        assert found is not None
        return found

    def _ours(self, kind: str) -> list[Object]:
        return self.cluster.list(kind, self.models, f"freehold.dev/model={NAME}")

    def _names(self, kind: str) -> list[str]:
        return [it["metadata"]["name"] for it in self._ours(kind)]

    def _clusters(self) -> list[Object]:
        return self.cluster.list("raycluster", self.models)

    def _revision(self) -> str:
        return str((self._get("modeldeployment").get("status") or {}).get("updateRevision", ""))

    def _edit(self, spec: Object) -> None:
        self._patch("modeldeployment", NAME, {"spec": spec})

    def _patch(self, kind: str, name: str, change: Object) -> None:
        where = f"--namespace={self.models}"
        self.cluster.kubectl("patch", kind, name, where, "--type=merge", f"-p={json.dumps(change)}")

    def _until(self, holds: Callable[[], bool]) -> None:
        self._wait(Step("in between", lambda: None, holds))


def _serving_with(service: Object) -> str:
    active = (service.get("status") or {}).get("activeServiceStatus") or {}
    return str(active.get("rayClusterName", ""))


def _labels(labels: dict[str, str | None]) -> Object:
    return {"metadata": {"labels": labels}}


def _copy(found: Object, name: str) -> Object:
    kept = {key: found["metadata"][key] for key in ("labels", "ownerReferences")}
    return {**found, "metadata": {"name": name, **kept}}


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane of our own with an audit log, and nodes for the example."""
    labels = {
        "cloud.google.com/gke-accelerator": "nvidia-l4",
        "cloud.google.com/gke-gpu": "true",
        "node.kubernetes.io/instance-type": "g2-standard-12",
    }
    one = {"nvidia.com/gpu": "1"}
    nodes = [SimulatedNode(f"rights-{i}", labels=labels, allocatable=one) for i in range(4)]
    with control_plane.cluster.standing(nodes):
        yield control_plane


@pytest.fixture(name="life")
def _life(plane: ControlPlane, kuberay: KubeRay) -> Iterator[Scenario]:
    """The operator as installed, without the rights of its first step, in its own namespaces."""
    token = secrets.token_hex(3)
    system, models = f"system-{token}", f"models-{token}"
    # the clusters' Rays are reached by a proxy, and the hub by nobody
    environment = {"HTTP_PROXY": kuberay.ray.url, "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
    made = operators_objects(
        plane, system=system, models=models, port=free_port(), environment=environment
    )
    given, taken = _of_operator(made), needed_at(STARTS)
    with plane.cluster.namespace(system), plane.cluster.namespace(models):
        try:
            with running(plane, without(given, taken)) as operator:
                yield Scenario(plane.cluster, system, models, operator, given, kuberay.ray, taken)
        finally:
            roles = [
                f"{it['kind'].lower()}/{it['metadata']['name']}"
                for it in given
                if it["kind"].startswith("Cluster")
            ]
            plane.cluster.kubectl("delete", *roles)


def _of_operator(objects: list[Object]) -> list[Object]:
    """Leave out the roles for people."""
    aggregated = "rbac.authorization.k8s.io/aggregate-to-edit"
    return [it for it in objects if aggregated not in it["metadata"]["labels"]]


def test_the_rights_are_enough_and_each_is_needed_where_it_is_used(life: Scenario) -> None:
    life.run()
    granted = rights_of(life.given)
    assert granted == {*NEEDED_AT}
    # nothing else was asked for in vain, and what was given back was used
    assert life.operator.audit.denied == granted
    used = {right for right in life.operator.audit.used if not right.resource.startswith("/")}
    assert used == granted
