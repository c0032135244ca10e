"""Requests to a model's endpoint, one after the other, while a test goes on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.integration.one_model import Model
from tests.repeating import repeated

# Between two requests; the fake of Ray answers at once.
_PAUSE_S = 0.05


@dataclass
class Load:
    """What became of the requests.

    Attributes:
        answered: How many were answered with a token.
        lost: What was answered to the others.
    """

    answered: int = 0
    lost: list[str] = field(default_factory=list)


@contextmanager
def load(model: Model) -> Iterator[Load]:
    """Ask the endpoint of a model through the fake of Ray, as a client of the Service would."""
    found = Load()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": model.kuberay.ray.url})
    )
    url = f"http://{model.name}.{model.namespace}.svc:8000/v1/completions"
    body = json.dumps({"model": model.name, "prompt": "Hello", "max_tokens": 1}).encode()

    def ask() -> None:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with opener.open(request, timeout=30) as answer:
                found.answered += b"choices" in answer.read()
        except urllib.error.HTTPError as error:
            found.lost.append(f"{error.code}: {error.read()!r}")
        except OSError as error:
            found.lost.append(str(error))

    with repeated(ask, _PAUSE_S):
        yield found
