"""Requests to a cluster without starting kubectl, which costs more than most of them.

Tests ask again and again until something holds, and make a namespace each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config

_SECONDS = 30.0
# Every kind of a whole API in one answer.
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class RequestFailed(RuntimeError):
    """The API server refused or did not answer; the message is its own."""


class _Kind(NamedTuple):
    path: str
    plural: str
    namespaced: bool

    def url(self, namespace: str | None, name: str = "") -> str:
        where = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{self.path}{where}/{self.plural}" + (f"/{name}" if name else "")


@dataclass
class PlainApi:
    """Takes kinds by the names that kubectl takes, such as ``fmd`` or ``pods``.

    Attributes:
        kubeconfig: The path of a kubeconfig.
    """

    kubeconfig: Path
    _kinds: dict[str, _Kind] = field(default_factory=dict)
    _client: ApiClient | None = None

    def get(self, kind: str, name: str, namespace: str | None) -> dict[str, Any] | None:
        """Return an object, or None where there is none.

        Raises:
            RequestFailed: There is no such kind, or the API server does not tell.
        """
        return self._request("GET", self._kind(kind).url(namespace or "default", name))

    def list(self, kinds: str, namespace: str | None, selector: str) -> list[dict[str, Any]]:
        """Return the objects of kinds, separated by commas, in a namespace or in all.

        Raises:
            RequestFailed: There is no such kind, or the API server does not tell.
        """
        query = f"?{urlencode({'labelSelector': selector})}" if selector else ""
        return [
            item
            for kind in kinds.split(",")
            for item in _items(self._request("GET", self._kind(kind).url(namespace) + query) or {})
        ]

    def create(self, kind: str, item: Mapping[str, Any]) -> None:
        """Create an object that is in no namespace.

        Raises:
            RequestFailed: It is there already, or the API server does not take it.
        """
        self._request("POST", self._kind(kind).url(None), body=item)

    def delete(self, kind: str, name: str) -> None:
        """Ask for the end of an object that is in no namespace; it may be gone already.

        Raises:
            RequestFailed: The API server does not take it.
        """
        self._request("DELETE", self._kind(kind).url(None, name))

    def delete_all(self, kind: str, namespace: str) -> None:
        """Have all objects of a kind in a namespace end at once, whatever they were to do first.

        Raises:
            RequestFailed: The API server does not take it.
        """
        at_once = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self._request("DELETE", self._kind(kind).url(namespace), body=at_once)

    def _kind(self, name: str) -> _Kind:
        if name.lower() not in self._kinds:
            self._kinds = self._discovered()
        if name.lower() not in self._kinds:
            raise RequestFailed(f"the server doesn't have a resource type {name!r}")
        return self._kinds[name.lower()]

    def _discovered(self) -> dict[str, _Kind]:
        """Return the kinds by all their names; of two with one name, the first group's."""
        found: dict[str, _Kind] = {}
        for root in ("/api", "/apis"):
            for group in (self._request("GET", root, _DISCOVERY) or {})["items"]:
                for names, kind in _kinds_of(root, group):
                    for name in names:
                        found.setdefault(name.lower(), kind)
        return found

    def _request(
        self,
        method: str,
        path: str,
        accept: str = "application/json",
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """Return what is answered; None where what was asked for is not there."""
        if self._client is None:
            self._client = new_client_from_config(str(self.kubeconfig))
            self._client.configuration.retries = False
        headers = {"Accept": accept, "Content-Type": "application/json"}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{self._client.configuration.host}{path}"
        try:
            answer = self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=_SECONDS
            )
            found: dict[str, Any] = json.loads(answer.read())
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            raise RequestFailed(f"{method} {path}: {error}") from error
        if answer.status == 404:
            return None
        if answer.status >= 300:
            raise RequestFailed(f"{method} {path}: {found.get('message', found)}")
        return found


def _kinds_of(root: str, group: Mapping[str, Any]) -> list[tuple[list[str], _Kind]]:
    """Return the kinds of a group in its preferred version, each with its names."""
    name, version = group["metadata"].get("name", ""), group["versions"][0]
    path = "/".join(it for it in (root, name, version["version"]) if it)
    found = []
    for it in version.get("resources", []):
        plural = it["resource"]
        longer = [f"{plural}.{name}", f"{plural}.{version['version']}.{name}"] if name else []
        names = [plural, it.get("singularResource") or plural, *it.get("shortNames", []), *longer]
        found.append((names, _Kind(path, plural, it["scope"] == "Namespaced")))
    return found


def _items(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a list's objects, each with its kind, which those of built-in ones lack."""
    kind = str(answer.get("kind", "")).removesuffix("List")
    told = {"apiVersion": answer.get("apiVersion"), "kind": kind}
    return [told | item for item in answer.get("items") or []]
