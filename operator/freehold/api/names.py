"""Names that other objects and people rely on: groups, labels, annotations, field managers.

A field manager's name is load-bearing: under another name the API server would take what was
written before for somebody else's.
"""

from __future__ import annotations

GROUP = "freehold.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
OPERATOR = f"{GROUP}/operator"

# On every child and pod of a model: the model's name.
MODEL_LABEL = f"{GROUP}/model"
# On a pod of a model that runs no engine: what it is there for.
TASK_LABEL = f"{GROUP}/task"
DESCRIBE_TASK = "describe"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "freehold"
# On a ModelDeployment: "true" keeps the operator from writing any of its children.
PAUSED_ANNOTATION = f"{GROUP}/paused"

# On the Service and the RayService: the revision that they were rendered from. KubeRay hands it on
# to the RayClusters that it makes.
REVISION_ANNOTATION = f"{GROUP}/revision"
# On a ControllerRevision: that its rollout was given up and why (plan/failure.py), and when it was
# asked for again, where that was after it was made.
FAILED_ANNOTATION = f"{GROUP}/failed"
ASKED_AGAIN_ANNOTATION = f"{GROUP}/asked-again"
# KubeRay's, on every RayCluster that it makes: the RayService's name.
RAY_SERVICE_LABEL = "ray.io/originated-from-cr-name"

# Who writes children, and who writes a ModelDeployment's status.
FIELD_MANAGER = "freehold"
STATUS_FIELD_MANAGER = "freehold-status"


def generated_key_secret_name(model_name: str) -> str:
    """Return the Secret with the key that is made for a model whose user names no Secret."""
    return f"{model_name}-api-key"


def child_labels(model_name: str) -> dict[str, str]:
    """Return the labels of every object that a model owns."""
    return {MODEL_LABEL: model_name, MANAGED_BY_LABEL: MANAGED_BY}
