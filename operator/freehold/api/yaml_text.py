"""YAML text to plain data with the source line of every value.

Reads YAML as ``kubectl`` does where PyYAML differs: ``1e+06`` is a number and a bare date is a
string. Refuses what would silently lose something: a key written twice, a key that is no string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from freehold.api.faults import Fault

# An alias may be repeated, so a few lines can stand for gigabytes; no manifest comes near this.
MAX_NODES = 100_000

Path = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """SafeLoader with the numbers of YAML 1.2 and without timestamps."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
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

    A text that is no YAML ends the iteration with a document that holds only the fault.
    """
    loader = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            document = _Reader(loader).read(node)
            if document.data is not None or document.faults:
                yield document
    except yaml.MarkedYAMLError as error:
        yield _broken(error.problem_mark, f"{error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        yield _broken(None, str(error).splitlines()[0])
    finally:
        if loader is not None:
            loader.dispose()


def _broken(mark: yaml.Mark | None, problem: str) -> Document:
    line = mark.line + 1 if mark is not None else None
    fault = Fault(path="", found=f"text that is no YAML ({problem})", allowed="YAML", line=line)
    return Document(faults=[fault])


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

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES} values")
        self._document.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._fault(path, node, "an alias to something around it", "a tree")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:"):
            self._fault(path, node, f"the tag {node.tag}", "plain YAML without tags")
            return None
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._fault(path, node, f"{node.value!r} ({error})", "a readable value")
            return None
        if isinstance(value, bytes):
            self._fault(path, node, "binary data", "text")
            return None
        return value

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode) or not node.tag.endswith(":map"):
            self._fault(path, node, f"the tag {node.tag}", "a plain mapping")
            return {}
        self._loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or not key_node.tag.endswith(":str"):
                shown = repr(key) if key is not None else "a mapping or list"
                self._fault(path, key_node, f"the key {shown}", "keys that are strings")
            elif key in result:
                self._fault((*path, key), key_node, "the key a second time", "each key once")
            else:
                result[key] = self._value(value_node, (*path, key))
                self._document.lines[(*path, key)] = key_node.start_mark.line + 1
        return result
