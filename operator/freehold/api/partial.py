"""Plain data seen through its type before it is known to be right.

Checks the rules of an object of which some fields are wrong, so that all faults are told at once:
pydantic checks conditions between fields only when every field is right. Here a rule is checked
as soon as the fields that it reads are right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from freehold.api.base import ApiModel, Rule

Path = tuple[str | int, ...]


class _UnknownError(Exception):
    """A rule read a field whose value is wrong, so that the rule cannot be judged."""


class _Partial:
    """Stands for a model whose data may be partly wrong; its attributes are the model's."""

    def __init__(
        self, model: type[ApiModel], data: dict[str, Any], path: Path, wrong: Collection[Path]
    ) -> None:
        self._model = model
        self._data = data
        self._path = path
        self._wrong = wrong

    def __getattr__(self, name: str) -> Any:
        field = self._model.model_fields[name]
        alias = field.alias or name
        path = (*self._path, alias)
        if path in self._wrong:
            raise _UnknownError
        if alias in self._data:
            return self._view(model_in(field.annotation), self._data[alias], path)
        if field.is_required() or self._has_unknown_fields():
            # an unknown field may well be this one, misspelt
            raise _UnknownError
        return field.get_default()

    def _view(self, model: type[ApiModel] | None, value: Any, path: Path) -> Any:
        if path in self._wrong:
            raise _UnknownError
        if isinstance(value, list):
            return tuple(self._view(model, item, (*path, i)) for i, item in enumerate(value))
        if model is not None and isinstance(value, dict):
            return _Partial(model, value, path, self._wrong)
        return value

    def _has_unknown_fields(self) -> bool:
        fields = self._model.model_fields
        return not {field.alias or name for name, field in fields.items()} >= self._data.keys()


def broken_rules(
    model: type[ApiModel], data: Any, wrong: Collection[Path], path: Path = ()
) -> Iterator[tuple[Path, Rule]]:
    """Yield the broken rules of an object and of what is in it, with the path of their object.

    Args:
        model: The type that the data should have.
        data: Plain data, as read from YAML.
        wrong: Paths of all fields whose own value is wrong, missing or unknown.
        path: Where ``data`` stands.
    """
    if isinstance(data, list):
        for index, item in enumerate(data):
            yield from broken_rules(model, item, wrong, (*path, index))
    if not isinstance(data, dict):
        return
    partial = _Partial(model, data, path, wrong)
    for rule in model.rules:
        if _breaks(partial, rule):
            yield path, rule
    for name, field in model.model_fields.items():
        inner, alias = model_in(field.annotation), field.alias or name
        if inner is not None and alias in data:
            yield from broken_rules(inner, data[alias], wrong, (*path, alias))


def _breaks(partial: _Partial, rule: Rule) -> bool:
    try:
        return not rule.holds(partial)
    except _UnknownError:
        return False


def without_nulls(model: type[ApiModel], data: Any) -> Any:
    """Return data without what is null: to the API server it is absent, be it a field or a label.

    What is no field of the type is left as it is: an unknown one is a fault even when null, and
    in engine arguments null is a value.
    """
    if isinstance(data, list):
        return [without_nulls(model, item) for item in data]
    if not isinstance(data, dict):
        return data
    result = dict(data)
    for name, field in model.model_fields.items():
        alias, inner = field.alias or name, model_in(field.annotation)
        if result.get(alias, ...) is None:
            del result[alias]
        elif inner is not None and alias in result:
            result[alias] = without_nulls(inner, result[alias])
        elif _holds_texts(field.annotation) and isinstance(result.get(alias), dict):
            result[alias] = {key: text for key, text in result[alias].items() if text is not None}
    return result


def _holds_texts(annotation: Any) -> bool:
    """Tell whether a field is a mapping of texts, such as labels."""
    return dict[str, str] in (annotation, *getattr(annotation, "__args__", ()))


def model_in(annotation: Any) -> type[ApiModel] | None:
    """Return the model inside ``Model``, ``Model | None`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = model_in(argument)
        if found is not None:
            return found
    return None
