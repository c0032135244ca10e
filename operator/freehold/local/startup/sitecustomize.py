"""Runs at the start of every Python process of a Ray that Freehold starts on one machine.

Serve gives each replica a server for calls between deployments and binds it to every address
(``ray/serve/_private/replica.py``: ``"[::]:0"``); it takes pickled arguments from whoever reaches
it, and no token guards it. Here the function that binds it is replaced when Ray imports it, so
that the server listens on the loopback address like the rest.

Python imports one module of this name; one that stood on the path before is run after ours.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_MODULE = "ray._common.tls_utils"
_EVERYWHERE = ("[::]:", "0.0.0.0:")


class _BindsToLoopback(MetaPathFinder):
    """Finds Ray's module in the ordinary way and changes it once it is loaded."""

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_change(module: ModuleType) -> None:
                load(module)
                _change(module)

            spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


def _change(module: ModuleType) -> None:
    bind = module.add_port_to_grpc_server

    def bind_to_loopback(server: Any, address: str) -> Any:
        for everywhere in _EVERYWHERE:
            address = address.replace(everywhere, "127.0.0.1:")
        return bind(server, address)

    module.add_port_to_grpc_server = bind_to_loopback  # type: ignore[attr-defined]


def _run_the_next() -> None:
    """Run the module of this name that this one hides."""
    here = __file__.rpartition("/")[0]
    rest = [entry for entry in sys.path if entry.rstrip("/") != here]
    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _BindsToLoopback())
_run_the_next()
