"""One pass over a RayService: its clusters, what they serve, its Services, its status."""

from __future__ import annotations

import base64
import copy
import secrets
from typing import Any

import yaml
from tests.kuberay_stand_in import initializing
from tests.kuberay_stand_in import ray_service_status as told
from tests.kuberay_stand_in.api import POD, RAY_SERVICE, SECRET, SERVICE, Key, Object
from tests.kuberay_stand_in.cache import key_of, labels_of
from tests.kuberay_stand_in.conditions import is_true, now
from tests.kuberay_stand_in.dashboard import Dashboard
from tests.kuberay_stand_in.owned_clusters import OwnedClusters, needs_new_cluster
from tests.kuberay_stand_in.ray_service_status import ACTIVE, PENDING
from tests.kuberay_stand_in.services import head_service_of, ports, serve_service_of
from tests.kuberay_stand_in.spec import fault, full_update
from tests.kuberay_stand_in.suspension import Suspension
from tests.kuberay_stand_in.world import Settings, World, head_of

FINALIZER = "ray.io/rayservice-finalizer"
_MANAGER = "ray.io/kuberay-operator"
# Kubernetes' own alphabet for random names, which spells no words
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
Applications = dict[str, Object]


class RayServices:
    """Does what KubeRay's RayService controller does."""

    def __init__(self, world: World, dashboard: Dashboard, settings: Settings) -> None:
        self._world, self._dashboard, self._settings = world, dashboard, settings
        self._clusters = OwnedClusters(world, settings)
        self._suspension = Suspension(world)
        self._submitted: dict[Key, str] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Make one pass; returns after how many seconds another one is wanted."""
        found = self._world.get(RAY_SERVICE, key)
        if found is None or found["spec"].get("managedBy", _MANAGER) != _MANAGER:
            return None
        ray_service = copy.deepcopy(found)
        left = await self._clusters.clean(ray_service)
        if ray_service["metadata"].get("deletionTimestamp"):
            if left:
                return self._settings.delay
            await self._let_go(ray_service)
            return None
        if FINALIZER not in ray_service["metadata"].get("finalizers", []):
            await self._take(ray_service)
            return self._settings.delay
        status = told.status_of(ray_service)
        if words := fault(ray_service):
            told.say(status, "Ready", "False", "ValidationFailed", words)
            await self._store(found, ray_service)
            return None  # no other pass until the object changes, and no generation observed
        before = copy.deepcopy(status)
        await self._suspension.step(ray_service, status)
        if told.differs(before, status):
            ray_service = copy.deepcopy(await self._store(found, ray_service))
            status = told.status_of(ray_service)
        if told.suspend_owns(status):
            return None if is_true(before, "Suspended") else self._settings.delay
        if initializing.is_given_up(status):
            return self._settings.delay if left else None
        await self._serve_and_tell(ray_service)
        rests = told.rests(ray_service["status"]) and not left
        return self._settings.delay_at_rest if rests else self._settings.delay

    async def _take(self, ray_service: Object) -> None:
        ray_service["metadata"].setdefault("finalizers", []).append(FINALIZER)
        full_update(ray_service)
        await self._world.update(RAY_SERVICE, ray_service)

    async def _let_go(self, ray_service: Object) -> None:
        finalizers = ray_service["metadata"].get("finalizers", [])
        if FINALIZER in finalizers:
            finalizers.remove(FINALIZER)
            full_update(ray_service)
            await self._world.update(RAY_SERVICE, ray_service)

    async def _serve_and_tell(self, ray_service: Object) -> None:
        before = copy.deepcopy(ray_service)
        active, pending = await self._clusters.reconcile(ray_service)
        for cluster in (active, pending):
            if cluster is not None:
                await self._label_head(ray_service, cluster)
        runs, applications = False, None
        serving = pending or active
        if pending is not None or (active and not needs_new_cluster(ray_service, active, None)):
            runs, applications = await self._serve(ray_service, serving)
        if runs and serving is not None:
            await self._point_services(ray_service, serving)
        self._tell(ray_service, active, pending, applications, runs=runs)
        if told.differs(before["status"], ray_service["status"]):
            await self._store(before, ray_service)

    def _tell(
        self,
        ray_service: Object,
        active: Object | None,
        pending: Object | None,
        applications: Applications | None,
        *,
        runs: bool,
    ) -> None:
        status = ray_service["status"]
        status["observedGeneration"] = ray_service["metadata"]["generation"]
        told.set_cluster(status, ACTIVE, active, None if pending else applications)
        told.set_cluster(status, PENDING, pending, applications if pending else None)
        if runs and pending is not None:
            told.promote(status)
        elif needs_new_cluster(ray_service, active, pending):
            name = "".join(secrets.choice(_LETTERS) for _ in range(5))
            told.prepare(status, f"{ray_service['metadata']['name']}-{name}")
        told.conclude(status, self._endpoints(ray_service))
        initializing.give_up_if_late(ray_service)

    async def _label_head(self, ray_service: Object, cluster: Object) -> None:
        head = head_of(self._world, key_of(cluster))
        if head is None:
            # the pass ends here, and no status is written
            raise LookupError(f"found 0 head. cluster name {cluster['metadata']['name']}")
        healthy = not ray_service["spec"].get("excludeHeadPodFromServeSvc")
        if healthy:
            address = (head.get("status") or {}).get("podIP", "")
            port = ports(cluster).get("serve", 8000)
            healthy = await self._dashboard.proxy_is_healthy(address, port)
        value = str(healthy).lower()
        if labels_of(head).get("ray.io/serve") != value:
            changed = copy.deepcopy(head)
            changed["metadata"]["labels"]["ray.io/serve"] = value
            await self._world.update(POD, changed)

    async def _serve(
        self, ray_service: Object, cluster: Object | None
    ) -> tuple[bool, Applications | None]:
        """Submit the Serve config where it is not; return what ran before, and if all of it did."""
        if cluster is None or not is_true(cluster.get("status") or {}, "HeadPodReady"):
            return False, None
        namespace, name = key_of(cluster)
        port = ports(cluster).get("dashboard")
        if port is None:
            raise LookupError("dashboard port is not found")
        address = f"http://{name}-head-svc.{namespace}.svc.cluster.local:{port}"
        token = await self._token(cluster)
        found = await self._dashboard.applications(address, token)
        text = ray_service["spec"].get("serveConfigV2", "")
        if not found or self._submitted.get((namespace, name)) != text:
            await self._dashboard.put(address, token, yaml.safe_load(text) or {})
            self._submitted[(namespace, name)] = text
        runs = bool(found) and all(item.get("status") == "RUNNING" for item in found.values())
        return runs, found

    async def _token(self, cluster: Object) -> str:
        options = cluster["spec"].get("authOptions") or {}
        if options.get("mode") != "token":
            return ""
        namespace, name = key_of(cluster)
        key = (namespace, options.get("secretName") or name)
        secret = await self._world.api.get(SECRET, key)
        return base64.b64decode(secret["data"]["auth_token"]).decode()

    async def _point_services(self, ray_service: Object, cluster: Object) -> None:
        for build in (head_service_of, serve_service_of):
            wanted = build(ray_service, cluster)
            old = self._world.get(SERVICE, key_of(wanted))
            if old is None:
                await self._world.create(SERVICE, wanted, (RAY_SERVICE, ray_service))
            elif _cluster_behind(old) != _cluster_behind(wanted):
                address = {"clusterIP": old["spec"]["clusterIP"]}
                spec: dict[str, Any] = {**wanted["spec"], **address}
                await self._world.update(SERVICE, {**copy.deepcopy(old), "spec": spec})

    def _endpoints(self, ray_service: Object) -> int:
        namespace, name = key_of(ray_service)
        slices = self._world.caches["EndpointSlice"].of(namespace, f"{name}-serve-svc")
        return len(
            {
                endpoint["targetRef"]["uid"]
                for item in slices
                for endpoint in item.get("endpoints") or []
                if endpoint["conditions"].get("ready") and "targetRef" in endpoint
            }
        )

    async def _store(self, before: Object, ray_service: Object) -> Object:
        """Write the status if it tells something new; return what is stored."""
        if not told.differs(before.get("status") or {}, ray_service["status"]):
            return before
        ray_service["status"]["lastUpdateTime"] = now()
        return await self._world.update(RAY_SERVICE, ray_service, status=True)


def _cluster_behind(service: Object) -> str:
    found: str = service["spec"]["selector"]["ray.io/cluster"]
    return found
