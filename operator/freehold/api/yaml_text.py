"""YAML text to plain data with the source line of every value.

Reads YAML as ``kubectl`` does where PyYAML differs: ``1e+06`` is a number, a bare date is a
string and ``y`` is true. Refuses what would silently lose something: a key written twice, a key
that is no string.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from freehold.api.faults import Fault

# An alias may be repeated, so a few lines can stand for gigabytes; no manifest comes near these.
MAX_NODES = 100_000
MAX_DEPTH = 64

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_SCALARS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null")}
_SHOWN = 60


class _Loader(yaml.SafeLoader):
    """SafeLoader with the numbers of YAML 1.2, without timestamps and base-60 numbers."""


_Loader.yaml_implicit_resolvers = {
    first: kept
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if (kept := [pair for pair in resolvers if pair[0] in (_MERGE, f"{_TAG}bool", f"{_TAG}null")])
}
# a bare y or n is a truth value to kubectl, so that a name must be quoted to be one
_Loader.bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^[yYnN]$"), list("yYnN"))
_Loader.add_implicit_resolver(
    f"{_TAG}int",
    re.compile(r"^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(
        r"^[-+]?(([0-9][0-9_]*)?\.[0-9][0-9_]*|[0-9][0-9_]*\.)([eE][-+]?[0-9]+)?$"
        r"|^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"
        r"|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


@dataclass(slots=True)
class Document:
    """One YAML document: its data and where each value stands.

    Attributes:
        data: Plain dicts, lists and scalars.
        lines: Line, counted from 1, of each value by its path.
        faults: What could not be read.
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line_of(self, path: Path) -> int | None:
        """Return the line of the value at ``path``, or of the nearest one around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def dotted(path: Path) -> str:
    """Return a path as people write it: ``spec.hardware.candidates[0].name``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_][\w-]*", part):
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def read_documents(text: str) -> Iterator[Document]:
    """Yield the documents of a YAML text; empty ones are left out.

    A text that is no YAML, or too much of it, ends the iteration with a document that holds
    only the fault.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        yield _broken(text.count("\n", 0, error.position) + 1, str(error).splitlines()[0])
        return
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None, "check_node() said that there is one"
            document = _Reader(loader).read(node)
            if document.data is not None or document.faults:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark else loader.line
        yield _broken(line + 1, f"{error.problem or error.context}")
    except _TooMuchError as error:
        yield Document(faults=[error.fault])
    except RecursionError:
        yield _broken(loader.line + 1, "nested too deeply")
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        yield _broken(loader.line + 1, str(error).splitlines()[0])
    finally:
        loader.dispose()


def shorten(shown: str) -> str:
    """Return what a fault shows of a value, cut to the width of a line."""
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."


def _broken(line: int, problem: str) -> Document:
    found = f"text that is no YAML ({shorten(problem)})"
    return Document(faults=[Fault(path="", found=found, allowed="YAML", line=line)])


class _TooMuchError(Exception):
    """Ends the reading of a text that is larger or deeper than any manifest."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Reader:
    """Turns one node tree into data, noting lines and faults as it goes."""

    def __init__(self, loader: _Loader) -> None:
        self._loader = loader
        self._document = Document()
        self._nodes = 0
        self._open: set[int] = set()

    def read(self, node: yaml.Node) -> Document:
        self._document.data = self._value(node, ())
        return self._document

    def _fault(self, path: Path, node: yaml.Node, found: str, allowed: str) -> None:
        line = node.start_mark.line + 1
        self._document.faults.append(Fault(dotted(path), found, allowed, line=line))

    def _count(self, node: yaml.Node, path: Path) -> None:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > MAX_NODES:
            found = f"more than {MAX_NODES} values, each alias counted as what it stands for"
            raise _TooMuchError(Fault(dotted(path), found, f"at most {MAX_NODES}", line=line))
        if len(path) > MAX_DEPTH:
            found = f"values nested more than {MAX_DEPTH} deep"
            raise _TooMuchError(Fault(dotted(path[:4]), found, f"at most {MAX_DEPTH}", line=line))

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._count(node, path)
        self._document.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._fault(path, node, "an alias to something around it", "a tree")
            return None
        if node.tag not in (f"{_TAG}seq", f"{_TAG}map"):
            self._fault(path, node, f"the tag {shorten(node.tag)}", "plain YAML without tags")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag not in _SCALARS:
            self._fault(path, node, f"the tag {shorten(node.tag)}", "plain YAML without tags")
            return None
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError):
            kind = node.tag.removeprefix(_TAG)
            found = f"{shorten(repr(node.value))} tagged as {kind}"
            self._fault(path, node, found, "a value that can be read as such")
            return None
        allowed = _unfit(value)
        if allowed:
            self._fault(path, node, shorten(ascii(node.value)), allowed)
            return None
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result = self._merged(node, path)
        written: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in written:
                self._fault((*path, key), key_node, "the key a second time", "each key once")
                continue
            written.add(key)
            result[key] = self._value(value_node, (*path, key))
            self._document.lines[(*path, key)] = key_node.start_mark.line + 1
        return result

    def _merged(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        """Return what the ``<<`` keys of a mapping bring in; the first to name a key wins."""
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                continue
            value = self._value(value_node, path)
            for source in value if isinstance(value, list) else [value]:
                if isinstance(source, dict):
                    result = {**source, **result}
                else:
                    self._fault(path, key_node, "<< with something else", "<< with a mapping")
        self._document.lines[path] = node.start_mark.line + 1
        return result

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(path, node, "the key a mapping or list", "keys that are strings")
        elif node.tag != f"{_TAG}str" or _unfit(node.value):
            shown = shorten(ascii(node.value))
            self._fault(path, node, f"the key {shown}", "keys that are strings, quoted if need be")
        else:
            return str(node.value)
        return None


def _unfit(value: Any) -> str | None:
    """Return what is allowed instead of a value that JSON cannot carry, or None."""
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return "a whole number of at most 64 bits"
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        return "text that UTF-8 can carry"
    return None
