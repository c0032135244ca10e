"""Names that other objects and people rely on: groups, labels, field managers."""

from __future__ import annotations

GROUP = "freehold.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
OPERATOR = f"{GROUP}/operator"
MODEL_LABEL = f"{GROUP}/model"
