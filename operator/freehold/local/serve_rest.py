"""Ray Serve's REST API, as the dashboard of a Ray head offers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from freehold.errors import RayUnavailable

_APPLICATIONS = "/api/serve/applications/"
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class ServeRest:
    """A client of one dashboard.

    Every call raises ``RayUnavailable`` with what to do when the dashboard does not answer as it
    should.
    """

    def __init__(self, address: str, token: str | None) -> None:
        """Take the dashboard's address, such as ``http://127.0.0.1:8265``, and Ray's token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.address = address.rstrip("/")
        # no proxy from the environment: the dashboard is on this machine or inside the cluster
        try:
            self._client = httpx.Client(
                base_url=self.address, headers=headers, timeout=_TIMEOUT, trust_env=False
            )
        except httpx.InvalidURL as error:
            raise RayUnavailable(
                f"{address!r} is no address of a dashboard ({error}); "
                f"give one such as http://127.0.0.1:8265"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def details(self) -> dict[str, Any]:
        """Return what Serve says of itself and of every application (ServeInstanceDetails)."""
        return self._object(_APPLICATIONS)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Make Serve run exactly the declared applications; those not listed are removed."""
        self._call("PUT", _APPLICATIONS, json=config)

    def upload(self, name: str, archive: bytes) -> None:
        """Store an archive in the cluster as ``gcs://NAME``; one that is there stays as it is."""
        path = f"/api/packages/gcs/{name}"
        if self._call("GET", path, missing_is_fine=True).status_code == 404:
            self._call("PUT", path, content=archive)

    def _object(self, path: str) -> dict[str, Any]:
        answer = self._call("GET", path)
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise RayUnavailable(
                f"what answers at {self.address} is not Ray's dashboard: {path} gave "
                f"{answer.text.strip()[:100]!r}; check the address and its port (8265 by default)"
            )
        return body

    def _call(
        self, method: str, path: str, *, missing_is_fine: bool = False, **options: Any
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise RayUnavailable(
                f"Ray's dashboard at {self.address} does not answer ({_reason(error)}); "
                f"check that Ray runs there and that the address is its dashboard's"
            ) from error
        if answer.status_code in (401, 403):
            raise RayUnavailable(
                f"Ray at {self.address} refuses the token; set RAY_AUTH_TOKEN to the cluster's"
            )
        if answer.is_error and not (missing_is_fine and answer.status_code == 404):
            raise RayUnavailable(
                f"Ray at {self.address} answered {answer.status_code} to {method} {path}: "
                f"{answer.text.strip()[:500]}"
            )
        return answer


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
