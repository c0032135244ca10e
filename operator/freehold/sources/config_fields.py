"""Reads single fields of a config.json, keeps every fault for the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.api.faults import Fault
from freehold.sources.config_defaults import NESTED_DEFAULTS

_LARGEST = 2**31 - 1
_INSTEAD = "If the file is right so, give the model's shape in spec.model.architecture."
# Where a multimodal model keeps the configuration of its language model.
_NESTED = ("text_config", "llm_config", "language_config")


class ConfigFields:
    """The fields of a language model's configuration.

    A field that is null counts as absent, as it does for the engine. After a fault the reader
    answers with a stand-in, so that one pass finds all faults; whoever reads must look at
    ``faults`` before using what was read.
    """

    def __init__(
        self, values: Mapping[str, Any], where: str, prefix: str, defaults: Mapping[str, Any]
    ) -> None:
        self._values = values
        self._where = where
        self._prefix = prefix
        self._defaults = defaults
        self.faults: list[Fault] = []

    def get(self, *names: str) -> Any:
        """Return the first of the named fields that is set, or None.

        A default stands in only for what is not written at all: null is a value of its own.
        """
        for name in names:
            if self._values.get(name) is not None:
                return self._values[name]
        if any(name in self._values for name in names):
            return None
        return next((self._defaults[name] for name in names if name in self._defaults), None)

    def text(self, name: str) -> str:
        """Return a text field, "" where it is absent or no text."""
        value = self.get(name)
        return value if isinstance(value, str) else ""

    def flag(self, name: str, default: bool) -> bool:
        """Return a true-or-false field."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(name, repr(value), "true or false")
        return value is True

    def optional(self, *names: str, least: int = 1) -> int | None:
        """Return the first of the named whole numbers, or None where all are absent."""
        value = self.get(*names)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST:
            return value
        name = next(name for name in names if self.get(name) is not None)
        self.fault(name, _short(value), f"a whole number from {least} to {_LARGEST}")
        return max(least, 1)

    def count(self, *names: str, default: int | None = None) -> int:
        """Return the first of the named whole numbers; a fault where all are absent."""
        value = self.optional(*names)
        if value is not None:
            return value
        if default is not None:
            return default
        self.fault(names[0], "nothing", "a whole number of at least 1")
        return 1

    def items(self, name: str) -> list[Any] | None:
        """Return a list field, or None where it is absent."""
        value = self.get(name)
        if value is not None and not isinstance(value, list):
            self.fault(name, _short(value), "a list")
            return []
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return an object field, empty where it is absent."""
        value = self.get(name)
        if value is not None and not isinstance(value, Mapping):
            self.fault(name, _short(value), "an object")
        return value if isinstance(value, Mapping) else {}

    def fault(self, name: str, found: str, allowed: str) -> None:
        """Keep a fault of the field ``name``."""
        path = f"{self._where}: {self._prefix}{name}"
        self.faults.append(Fault(path, found, allowed, _INSTEAD))


def language_model_fields(config: Mapping[str, Any], where: str) -> ConfigFields:
    """Return the fields of the language model, which a multimodal config keeps one level down."""
    prefix, values = "", config
    thinker = config.get("thinker_config")
    if isinstance(thinker, Mapping):
        prefix, values = "thinker_config.", thinker
    for name in _NESTED:
        inner = values.get(name)
        if isinstance(inner, Mapping):
            prefix, values = f"{prefix}{name}.", inner
            break
    defaults = NESTED_DEFAULTS.get(str(values.get("model_type")), {}) if prefix else {}
    return ConfigFields(values, where, prefix, defaults)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
