"""Native blocks as `client_protocol_version` asks for them.

A server puts its block info before each block, and a byte before each column's data, when a client names a
protocol version in the URL; the Go client (and with it Grafana's data source) always does, and reads nothing
else. The embedded engine writes Native without them only. So the columns of each block are walked to find
where they begin; none is decoded. Formats: NativeWriter.cpp and the SerializationX.cpp of ClickHouse.
"""

from __future__ import annotations

import re
from functools import lru_cache

from infra.local.engine.errors import NOT_IMPLEMENTED, QueryError

# DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION. Below it only the block info differs, which its askers
# (clickhouse-connect) find out by themselves and do without.
_CUSTOM_SERIALIZATION = 54454
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # 1: is_overflows = false, 2: bucket_num = -1, end
_DEFAULT_SERIALIZATION = b"\x00"

_BYTES = {
    "Bool": 1, "Nothing": 1, "Int8": 1, "UInt8": 1, "Enum8": 1,
    "Int16": 2, "UInt16": 2, "Enum16": 2, "Date": 2, "BFloat16": 2,
    "Int32": 4, "UInt32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "DateTime32": 4, "Time": 4, "IPv4": 4,
    "Decimal32": 4, "Int64": 8, "UInt64": 8, "Float64": 8, "DateTime64": 8, "Time64": 8, "Decimal64": 8,
    "Int128": 16, "UInt128": 16, "UUID": 16, "IPv6": 16, "Decimal128": 16,
    "Int256": 32, "UInt256": 32, "Decimal256": 32,
}  # fmt: skip
_SYNONYMS = {
    "Point": "Tuple(Float64, Float64)", "Ring": "Array(Point)", "LineString": "Array(Point)",
    "MultiLineString": "Array(LineString)", "Polygon": "Array(Ring)", "MultiPolygon": "Array(Polygon)",
}  # fmt: skip
_TYPE = re.compile(r"(\w+)(?:\((.*)\))?\Z", re.DOTALL)
_PART = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]|[^'`(),]+", re.DOTALL)


def revises(protocol_version: int) -> bool:
    return protocol_version >= _CUSTOM_SERIALIZATION


def revised(data: bytes) -> bytes:
    """One or more Native blocks as a client of such a version reads them. Raises NOT_IMPLEMENTED.

    `data` are blocks without a version; none stays none.
    """
    out, at = [], 0
    while at < len(data):
        start, (columns, at) = at, _varint(data, at)
        rows, at = _varint(data, at)
        out += [_BLOCK_INFO, data[start:at]]
        for _ in range(columns):
            begin = at
            size, at = _varint(data, at)
            size, at = _varint(data, at + size)
            type_ = data[at : at + size].decode()
            at += size
            out += [data[begin:at], _DEFAULT_SERIALIZATION]
            if rows:
                begin = at
                at = _after(data, _after_prefix(at, type_), type_, rows)
                out.append(data[begin:at])
    return b"".join(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


@lru_cache(maxsize=4_096)
def _parsed(type_: str) -> tuple[str, tuple[str, ...]]:
    """Name and arguments of a type; a tuple's and a nested's elements without their names."""
    type_ = _SYNONYMS.get(type_, type_)
    match = _TYPE.match(type_)
    if match is None:
        raise _unknown(type_)
    name, inside = match.group(1), match.group(2) or ""
    arguments, depth = [""], 0
    for part in _PART.findall(inside):
        depth += (part == "(") - (part == ")")
        if part == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += part
    found = [argument.strip() for argument in arguments if argument.strip()]
    if name in ("Tuple", "Nested"):
        found = [_unnamed(argument) for argument in found]
    if name == "Map":
        return "Array", (f"Tuple({found[0]}, {found[1]})",)
    if name == "Nested":
        return "Array", (f"Tuple({', '.join(found)})",)
    if name == "SimpleAggregateFunction":
        return _parsed(found[1])
    return name, tuple(found)


def _unnamed(element: str) -> str:
    """`a UInt8` and `UInt8` are both UInt8."""
    depth = 0
    parts = _PART.findall(element)
    for index, part in enumerate(parts):
        if part.startswith("`"):
            return "".join(parts[index + 1 :]).strip()
        if depth == 0 and " " in part.strip():
            return element.split(" ", 1)[1].strip()
        depth += (part == "(") - (part == ")")
    return element


def _after_prefix(at: int, type_: str) -> int:
    """Dictionaries write their version before all data of the column."""
    name, arguments = _parsed(type_)
    if name == "LowCardinality":
        return at + 8
    if name in ("Array", "Tuple", "Nullable"):
        for argument in arguments:
            at = _after_prefix(at, argument)
    return at


def _after(data: bytes, at: int, type_: str, rows: int) -> int:
    """Where the data of `rows` values of a type end."""
    name, arguments = _parsed(type_)
    if rows == 0:
        return at
    if name in _BYTES:
        return at + rows * _BYTES[name]
    if name == "String":
        for _ in range(rows):
            size = data[at]
            if size < 0x80:
                at += 1 + size
            else:
                size, at = _varint(data, at)
                at += size
        return at
    if name == "FixedString":
        return at + rows * int(arguments[0])
    if name == "Decimal":
        digits = int(arguments[0])
        return at + rows * (4 if digits <= 9 else 8 if digits <= 18 else 16 if digits <= 38 else 32)
    if name.startswith("Interval"):
        return at + rows * 8
    if name == "Nullable":
        return _after(data, at + rows, arguments[0], rows)
    if name == "Array":
        items = int.from_bytes(data[at + 8 * (rows - 1) : at + 8 * rows], "little")
        return _after(data, at + 8 * rows, arguments[0], items)
    if name == "Tuple":
        for argument in arguments:
            at = _after(data, at, argument, rows)
        return at if arguments else at + rows
    if name == "LowCardinality":
        return _after_dictionary(data, at, arguments[0])
    raise _unknown(type_)


def _after_dictionary(data: bytes, at: int, type_: str) -> int:
    flags = int.from_bytes(data[at : at + 8], "little")
    keys = int.from_bytes(data[at + 8 : at + 16], "little")
    name, arguments = _parsed(type_)
    at = _after(data, at + 16, arguments[0] if name == "Nullable" else type_, keys)
    indexes = int.from_bytes(data[at : at + 8], "little")
    return at + 8 + (indexes << (flags & 0xFF))


def _unknown(type_: str) -> QueryError:
    return QueryError(
        NOT_IMPLEMENTED,
        f"a column of type {type_} cannot be sent in Native with client_protocol_version from this engine: "
        "convert it (toString, CAST) or ask for another format",
    )
