"""The YAML of a catalogue: its value, and the line on which each part of it stands."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import yaml

Path = tuple[str | int, ...]
Fault = tuple[Path, str]
"""Where in the document, and the sentence `what; cure`."""


class CatalogueError(Exception):
    """The catalogue cannot be used; `faults` are sentences of the form `file:line: where: what; cure`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Document(NamedTuple):
    """A YAML document that is a mapping; `name` is its file's, for faults."""

    name: str
    value: dict[Any, Any]
    root: yaml.Node | None

    def error(self, faults: list[Fault]) -> CatalogueError:
        """All of them, in the order of their lines."""
        told = sorted(((line_of(self.root, path), path, what) for path, what in faults), key=lambda fault: fault[0])
        return CatalogueError([f"{self.name}:{line}: {dotted(path)}: {what}" for line, path, what in told])


def read_document(text: str, name: str) -> Document:
    """Raises CatalogueError, with one fault, for what is no YAML mapping."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        value = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line + 1, len(text.splitlines())) if mark else 1  # at its end, libyaml means the next
        raise CatalogueError([f"{name}:{line}: not YAML: {error.problem}; mend the line or quote the text"]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        what = str(error).splitlines()[0]
        raise CatalogueError([f"{name}:1: not YAML: {what}; save the file as UTF-8 YAML"]) from None
    if not isinstance(value, dict):
        raise CatalogueError([f"{name}:1: not a catalogue: expected programmes, tenants, skus and products at the top"])
    return Document(name, value, root)


def line_of(node: yaml.Node | None, path: Path) -> int:
    """The line of the deepest part of `path` that the document has."""
    line = node.start_mark.line + 1 if node else 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def dotted(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") or "catalogue"


class _Loader(yaml.CSafeLoader):
    """Dates stay text, and a key given twice is an error instead of a silent loss."""

    yaml_implicit_resolvers: ClassVar[Any] = {  # type: ignore[misc]  # typed as an instance variable upstream
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a list or mapping stands as a key", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
