"""What a manifest says that has no effect without a cluster; told, never passed over in silence."""

from __future__ import annotations

from freehold.api.modeldeployment import ModelDeploymentSpec
from freehold.api.names import OPERATOR

_NO_KEY = "the endpoint asks for no key"


def unheeded(spec: ModelDeploymentSpec, asks_for_key: bool) -> tuple[str, ...]:
    """Return a sentence for every field of the spec that ``freehold run`` does not act on.

    Args:
        spec: The spec.
        asks_for_key: Whether this run's endpoint asks for a key.
    """
    said = {
        **(_of_endpoint(spec) if asks_for_key else {"spec.endpoint": (spec.endpoint, _NO_KEY)}),
        "spec.templates": (spec.templates, "there are no pods"),
        "spec.rollout": (spec.rollout, "Serve replaces replicas in its own way"),
        "spec.serviceAccountName": (spec.service_account_name, "there are no pods"),
        "spec.engine.images": (spec.engine and spec.engine.images, "the installed engine is used"),
        "spec.model.credentials": (spec.model.credentials, "HF_TOKEN of this shell is used"),
    }
    sentences = [f"{name} has no effect here: {why}" for name, (set_, why) in said.items() if set_]
    if spec.managed_by != OPERATOR:
        sentences.append(
            f"spec.managedBy has no effect here: {spec.managed_by} acts on the object in a "
            f"cluster, and run serves it all the same"
        )
    return tuple(sentences)


def _of_endpoint(spec: ModelDeploymentSpec) -> dict[str, tuple[object, str]]:
    """Return the fields of an endpoint that asks for a key."""
    endpoint = spec.endpoint
    authentication = endpoint.authentication if endpoint else None
    says_none = authentication and authentication.type == "None"
    return {
        "spec.endpoint.authentication.type": (
            says_none,
            "another model of this run asks for a key",
        ),
        "spec.endpoint.authentication.secretRef": (
            authentication and authentication.secret_ref,
            "there are no Secrets; the key is that of this run",
        ),
        "spec.endpoint.allowedNamespaces": (
            endpoint and endpoint.allowed_namespaces,
            "there are no namespaces",
        ),
    }
