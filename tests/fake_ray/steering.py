"""What a test can make the fake do, by model."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Steering:
    """How the fake behaves for one model, in all its Ray clusters or in those yet to come.

    Attributes:
        status: What Serve says of the model's applications whatever was declared, such as
            ``DEPLOY_FAILED`` or ``DEPLOYING``; None for the normal course.
        refuses: Serve gives up on applications whose config contains this text; "" for none. What
            ran before runs on, and the same config is tried again; where nothing ran it is not,
            until the application has been taken away.
        message: Serve's words beside such a status.
        running: Replicas that run of the model's server, not more than Serve wants; None for all
            that Serve wants.
        target: Replicas that Serve wants of it, as after autoscaling; None for what the config
            asks for. The config's bounds hold.
        answer: HTTP status of the model's endpoint.
        hangs: Whether the endpoint takes a request and never answers.
        dashboard: HTTP status of the dashboard; 200 for the normal course.
        token: Token that the dashboard asks for; None for no authentication.
        scaling: The last line of the scaling policy's log; "" where there is no log.
        next_only: Whether clusters that have a Serve config already go on as before.
    """

    status: str | None = None
    refuses: str = ""
    message: str = ""
    running: int | None = None
    target: int | None = None
    answer: int = 200
    hangs: bool = False
    dashboard: int = 200
    token: str | None = None
    scaling: str = ""
    next_only: bool = False

    @classmethod
    def read(cls, data: dict[str, Any]) -> Steering:
        """Return the steering that a control request asks for; raises ``ValueError``."""
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"{', '.join(unknown)}: unknown; known are {', '.join(sorted(known))}")
        return cls(**data)


@dataclass(slots=True)
class Asked:
    """What was asked of one model.

    Attributes:
        requests: Count of requests to its endpoint, by path.
        declared: Count of Serve configs that its dashboards took.
        tokens: Tokens that its dashboards were shown, each once.
        keys: Keys that its endpoint was shown, each once; it asks for none.
    """

    requests: dict[str, int] = field(default_factory=dict)
    declared: int = 0
    tokens: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
