"""What is to be known of ClickHouse's formats: their Content-Type, and which are joined from blocks."""

from __future__ import annotations

# Formats without a beginning, an end or a separator between rows: complete blocks, one after the other, are one
# valid result. All others (JSON, …WithNames, Parquet) are made in one piece.
_JOINABLE = frozenset({
    "csv", "jsoncompacteachrow", "jsoncompactstringseachrow", "jsoneachrow", "jsonlines", "jsonstringseachrow",
    "linesasstring", "native", "ndjson", "raw", "rawblob", "rowbinary", "tabseparated", "tabseparatedraw", "tskv",
    "tsv", "tsvraw",
})  # fmt: skip
_BINARY = (
    "arrow", "avro", "bsoneachrow", "capnproto", "msgpack", "native", "npy", "orc", "parquet", "protobuf", "rawblob",
    "rowbinary",
)  # fmt: skip
_OF_NAME = {
    "html": "text/html; charset=UTF-8",
    "markdown": "text/markdown; charset=UTF-8",
    "prometheus": "text/plain; version=0.0.4; charset=UTF-8",
    "xml": "application/xml; charset=UTF-8",
}


def joinable(format: str) -> bool:
    return format.lower() in _JOINABLE


def content_type(format: str) -> str:
    """As a server answers."""
    name = format.lower()
    if name in _OF_NAME:
        return _OF_NAME[name]
    if name.startswith(_BINARY):
        return "application/octet-stream"
    if name.startswith("json"):
        rows = "eachrow" in name or name == "jsonlines"
        return f"application/{'x-ndjson' if rows else 'json'}; charset=UTF-8"
    if name == "ndjson":
        return "application/x-ndjson; charset=UTF-8"
    if name.startswith("csv"):
        return f"text/csv; charset=UTF-8; header={'present' if 'names' in name else 'absent'}"
    if name.startswith(("tabseparated", "tsv", "raw")):
        return "text/tab-separated-values; charset=UTF-8"
    return "text/plain; charset=UTF-8"
