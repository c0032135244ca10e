"""What a rollout holds a model's source to, so that a restart cannot change the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WEIGHTS_CHECK = "freehold.serving.weights_check.WeightsCheck"


@dataclass(frozen=True, slots=True)
class SourcePin:
    """What a source was at a rollout.

    Attributes:
        commit: The commit of a hub that its revision meant; None to leave that to the engine.
        digest: Digest of the files of any other source (``serving/weights.py``); None where nobody
            looked.
        files: The first digits of each file's digest, by name; may be empty.
    """

    commit: str | None = None
    digest: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


UNPINNED = SourcePin()


def weights_check(scheme: str, pin: SourcePin) -> dict[str, Any]:
    """Return what makes each node of a replica look at the files before its engine starts.

    It is part of the application's code to Serve: another digest restarts every replica and builds
    no other cluster. A hub's files are held by their commit and checked as they are fetched.
    """
    if scheme == "hf":
        return {}
    check: dict[str, Any] = {"callback_class": WEIGHTS_CHECK}
    if pin.digest is not None:
        check["callback_kwargs"] = {"digest": pin.digest, "files": dict(sorted(pin.files.items()))}
    return {"callback_config": check}
