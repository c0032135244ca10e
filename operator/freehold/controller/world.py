"""What all models share: accelerator classes and nodes, read once for each change of them."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.catalog.builtin import builtin_catalog
from freehold.cluster_plan import ClusterCatalog, read_cluster_catalog
from freehold.controller.cache import Cache
from freehold.kube.resources import ACCELERATOR_CLASSES, NODES, Resource
from freehold.plan.node import read_node
from freehold.render.cluster import Cluster
from freehold.render.hardware import Hardware


@dataclass(slots=True)
class World:
    """Classes and nodes of a cluster.

    Attributes:
        cache: Where they are seen.
        image_registry: Registry of the built-in classes' images; None for their own.
    """

    cache: Cache
    image_registry: str | None = None
    _catalog: ClusterCatalog | None = None
    _hardware: Hardware | None = None

    def changed(self, resource: Resource) -> None:
        """Take it that objects of a kind changed."""
        if resource == ACCELERATOR_CLASSES:
            self._catalog = None
        if resource in (ACCELERATOR_CLASSES, NODES):
            self._hardware = None

    @property
    def catalog(self) -> ClusterCatalog:
        """Return the catalogue with the cluster's own classes."""
        if self._catalog is None:
            objects = self.cache.all(ACCELERATOR_CLASSES)
            builtin = builtin_catalog()
            if self.image_registry is not None:
                builtin = builtin.with_image_registry(self.image_registry)
            self._catalog = read_cluster_catalog(builtin, objects)
        return self._catalog

    @property
    def hardware(self) -> Hardware:
        """Return the nodes, and what was found out about them."""
        if self._hardware is None:
            nodes = [read_node(raw) for raw in self.cache.all(NODES)]
            self._hardware = Hardware(Cluster(nodes))
        return self._hardware
