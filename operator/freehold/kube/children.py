"""Writing a model's children: create first, then apply what differs, never take over.

The first write is a create, so that an object of somebody else under the same name is found and
not adopted. Every later one is a server-side apply with the child's uid: when the child was
deleted or replaced meanwhile, the API server refuses instead of making another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from freehold.api.names import FIELD_MANAGER
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from freehold.kube.resources import BY_KIND, Resource
from freehold.render.change import owned_differs
from freehold.render.difference import with_false


class Written(Enum):
    """What became of a child."""

    NOTHING = "unchanged"
    CREATED = "created"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True)
class ForeignChild:
    """An object that bears a child's name and is not ours.

    Attributes:
        kind: Its kind.
        name: Its name.
        owner: Who it belongs to, in words.
    """

    kind: str
    name: str
    owner: str


async def write_child(
    client: KubeClient, desired: Object, live: Object | None, owner_uid: str
) -> tuple[Written | ForeignChild, Object | None]:
    """Make a child what it should be.

    Args:
        client: The API server.
        desired: All that we own of it.
        live: The child as it was last seen; None where it was not.
        owner_uid: The model's uid.

    Returns:
        What was done, or the foreign object that is in the way; and the child as it is now, where
        it was read or written.

    Raises:
        KubeError: As the client does; ``Conflict`` when the child is no longer the one seen.
    """
    resource = BY_KIND[desired["kind"]]
    if live is None:
        try:
            return Written.CREATED, await client.create(resource, desired)
        except AlreadyExists:
            metadata = desired["metadata"]
            live = await client.get(resource, metadata["namespace"], metadata["name"])
    if not is_owned(live, owner_uid):
        return _foreign(live), None
    if live["metadata"].get("deletionTimestamp") or not owned_differs(desired, live):
        return Written.NOTHING, None
    await _own_by_applying(client, resource, live)
    meant = with_false(desired, live)
    return Written.APPLIED, await _apply(client, resource, meant, live["metadata"]["uid"])


async def foreign_child(client: KubeClient, desired: Object, owner_uid: str) -> ForeignChild | None:
    """Return the object that bears a child's name and is not ours, if there is one.

    Raises:
        KubeError: As the client does.
    """
    metadata = desired["metadata"]
    try:
        found = await client.get(BY_KIND[desired["kind"]], metadata["namespace"], metadata["name"])
    except NotFound:
        return None
    return None if is_owned(found, owner_uid) else _foreign(found)


async def _apply(
    client: KubeClient, resource: Resource, desired: Mapping[str, Any], uid: str
) -> Object:
    """Apply a child to the very object with this uid."""
    meant = {**desired, "metadata": {**desired["metadata"], "uid": uid}}
    try:
        return await client.apply(resource, meant)
    except Invalid as error:
        if "metadata.uid" not in str(error):
            raise
        # how the API server says that the object is another one
        raise Conflict(str(error), error.status) from error


def is_owned(live: Mapping[str, Any], owner_uid: str) -> bool:
    """Return whether an object is controlled by the one with this uid."""
    owners = live["metadata"].get("ownerReferences") or []
    return any(it.get("uid") == owner_uid and it.get("controller") for it in owners)


def _foreign(live: Mapping[str, Any]) -> ForeignChild:
    owners = live["metadata"].get("ownerReferences") or []
    told = ", ".join(f"{it.get('kind')} {it.get('name')}" for it in owners)
    return ForeignChild(live["kind"], live["metadata"]["name"], told or "nobody")


async def _own_by_applying(client: KubeClient, resource: Resource, live: Object) -> None:
    """Turn what we own by creating into what we own by applying.

    A create leaves its fields to an owner of the operation Update, whom no later apply touches:
    a field that we stop applying would stay for ever. Kubernetes' own tools do the same
    (``k8s.io/client-go/util/csaupgrade``).
    """
    if not any(_created_by_us(owner) for owner in live["metadata"].get("managedFields") or []):
        return
    metadata = live["metadata"]
    fresh = await client.get(resource, metadata["namespace"], metadata["name"])
    if fresh["metadata"]["uid"] != metadata["uid"]:
        name = f"{live['kind']} {metadata['name']}"
        raise Conflict(f"the {name} was deleted and another one made meanwhile")
    owners = fresh["metadata"]["managedFields"]
    changed = [
        {**owner, "operation": "Apply"} if _created_by_us(owner) else owner for owner in owners
    ]
    version = fresh["metadata"]["resourceVersion"]
    await client.patch_json(
        resource,
        metadata["namespace"],
        metadata["name"],
        [
            {"op": "replace", "path": "/metadata/managedFields", "value": changed},
            # the patch is for the version that was read: owners may have changed since
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ],
    )


def _created_by_us(owner: Any) -> bool:
    """Tell our create among the owners, whole or as the cache keeps them."""
    if isinstance(owner, Mapping):
        parts = (owner.get("manager"), owner.get("operation"), owner.get("subresource") or "")
    else:
        parts = tuple(owner)
    return parts == (FIELD_MANAGER, "Update", "")
