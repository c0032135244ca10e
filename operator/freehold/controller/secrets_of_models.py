"""The Secrets that a model's pods need: ours are made, the user's are looked for, none is read.

The operator may create Secrets and do nothing else with them. That one is there is what the API
server answers to a create, and to a trial of one in which nothing is written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from freehold.api import conditions as api
from freehold.api.names import generated_key_secret_name
from freehold.controller.backoff import Backoff
from freehold.controller.gather import Seen
from freehold.controller.install_key import InstallKey
from freehold.controller.queue import Key
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import AlreadyExists, Denied, Invalid
from freehold.kube.resources import SECRETS
from freehold.render.api_keys import mounted_key_secret, token_secret_name
from freehold.status.outcome import Finding

# Pods that wait for a Secret do not say for which; it is looked for again after this long.
_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class ModelSecrets:
    """Sees to the Secrets of models.

    Attributes:
        client: The API server.
        key: What the models' tokens and keys are derived from.
        clock: Seconds that only go forward.
    """

    client: KubeClient
    key: InstallKey
    clock: Callable[[], float] = time.monotonic
    _unheard: Backoff = field(default_factory=Backoff)
    _there: dict[Key, dict[str, float]] = field(default_factory=dict)

    async def see_to(self, seen: Seen, service: Object) -> Finding | None:
        """Make the Secrets of ours that a RayService's pods need; tell which of the user's is not.

        Each is known once it was found, until pods do not come up, or KubeRay does not take up what
        it was given: then it may be gone.

        Args:
            seen: The model.
            service: The RayService as it is to be.

        Raises:
            KubeError: One of ours could not be made.
        """
        self._doubt_tokens(seen)
        for secret in self._ours(seen, service):
            if self._is_due(seen, secret["metadata"]["name"]):
                await self._make(seen, secret)
        named = mounted_key_secret(service)
        if named is None or named == generated_key_secret_name(seen.key.name):
            return None
        if self._is_due(seen, named) and not await self._is_there(seen, named):
            return Finding(api.API_KEYS_MISSING, _missing(named, seen.key.namespace))
        return None

    def forget(self, key: Key) -> None:
        """Drop what is known of the Secrets of a model that is gone."""
        self._there.pop(key, None)
        self._unheard.forget(key)

    def _doubt_tokens(self, seen: Seen) -> None:
        """Have the tokens' Secret made again where KubeRay may miss it, later and later.

        It reads it whenever it asks Serve. Where that fails it tells nobody and takes up no edit
        (KubeRay 1.7, ``reconcileServe``), while the pods that run need it no more. That KubeRay is
        away looks the same, and may last.
        """
        service = seen.ray_service
        if service is None or not service.awaits_edit:
            self._unheard.forget(seen.key)
        elif self._unheard.wait(seen.key, str(service.generation)) <= 0:
            self._there.get(seen.key, {}).pop(token_secret_name(seen.key.name, seen.uid), None)
            self._unheard.tried(seen.key)

    def _ours(self, seen: Seen, service: Object) -> Iterator[Object]:
        key = seen.key
        yield self.key.token_secret(key.name, key.namespace, seen.uid)
        generated = generated_key_secret_name(key.name)
        if mounted_key_secret(service) == generated:
            yield self.key.api_key_secret(generated, key.name, key.namespace)

    def _is_due(self, seen: Seen, name: str) -> bool:
        found = self._there.get(seen.key, {}).get(name)
        if found is None:
            return True
        waits = any(pod.lacks_configuration or pod.waits_for_volumes for pod in seen.pods)
        return waits and self.clock() - found >= _AGAIN_S

    async def _make(self, seen: Seen, secret: Object) -> None:
        with contextlib.suppress(AlreadyExists):
            await self.client.create(SECRETS, secret)
        self._found(seen.key, secret["metadata"]["name"])

    async def _is_there(self, seen: Seen, name: str) -> bool:
        """Tell whether a Secret of the user's is there; it counts as that where none may know."""
        try:
            found = await self.client.has(SECRETS, seen.key.namespace, name)
        except (Denied, Invalid):
            found = True
        if found:
            self._found(seen.key, name)
        else:
            self._there.get(seen.key, {}).pop(name, None)
        return found

    def _found(self, key: Key, name: str) -> None:
        self._there.setdefault(key, {})[name] = self.clock()


def _missing(name: str, namespace: str) -> str:
    return (
        f"spec.endpoint.authentication.secretRef names the Secret {name}, and there is none of "
        f"that name in {namespace}. Make it, with a key in each entry: "
        f"kubectl -n {namespace} create secret generic {name} --from-literal=first=KEY."
    )
