"""Bodies of type multipart/form-data: a query with its parameters, and external data as tables.

ClickHouse: https://clickhouse.com/docs/engines/table-engines/special/external-data
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.local.engine.errors import BAD_ARGUMENTS, QueryError

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_NAME = re.compile(rb'[; ]name="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_FILE = re.compile(rb'[; ]filename\*?=', re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """External data: rows in `format` for a temporary table."""

    name: str
    structure: str  # `a UInt32, b String`
    format: str
    rows: bytes


@dataclass(frozen=True)
class Form:
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def is_form(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/form-data")


def parse(content_type: str, body: bytes) -> Form:
    """Raises BAD_ARGUMENTS for a body that is cut off or no form."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise QueryError(BAD_ARGUMENTS, "multipart/form-data without boundary")
    mark = b"--" + boundary.group(1).encode("latin-1")
    parts = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise QueryError(BAD_ARGUMENTS, "the multipart/form-data body is cut off")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in parts[1:-1]:
        head, separator, content = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if not separator or name is None:
            raise QueryError(BAD_ARGUMENTS, "a part of the multipart/form-data body has no name")
        key = name.group(1).decode("utf-8", "replace")
        if _FILE.search(head):
            files[key] = content
        else:
            fields[key] = content.decode("utf-8", "surrogateescape")
    return Form(fields, files)


def tables(form: Form, described: Mapping[str, str]) -> list[Table]:
    """The external tables of a form; `described` holds `NAME_structure` or `NAME_types`, and `NAME_format`."""
    found = []
    for name, rows in form.files.items():
        structure = described.get(f"{name}_structure")
        if structure is None and (types := described.get(f"{name}_types")) is not None:
            structure = ", ".join(f"_{n} {type_}" for n, type_ in enumerate(_top_level(types), 1))
        if structure is None:
            raise QueryError(BAD_ARGUMENTS, f"Neither {name}_structure nor {name}_types is given for external data")
        found.append(Table(name, structure, described.get(f"{name}_format", "TabSeparated"), rows))
    return found


def _top_level(types: str) -> list[str]:
    """Splits at the commas that stand outside parentheses."""
    parts, depth = [""], 0
    for character in types:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
