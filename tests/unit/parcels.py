"""A parcel with Japanese names and a tricky text, for tests of transports."""

from __future__ import annotations

from dataclasses import replace

from stream_jobs.month_close.submit.transport import File, Parcel

TEXT = "利用実績報告書を添付いたします。\n.\n.. a line that begins with full stops\nend\n"
FILES = (
    File("利用実績報告書_2026年10月.pdf", "application/pdf", bytes(range(256))),
    File("lines.csv", "text/csv", "顧客,数量\r\n東京製作所,3\n".encode()),
)
PARCEL = Parcel(
    key="tokyo-2026-10-r1-0123456789abcdef0123456789abcdef", agreement="tokyo", month="2026-10", revision=1,
    report="ab" * 32, purchase_order="発注-4711", subject="注文番号 発注-4711：利用実績報告書 2026年10月 第1版 例",
    text=TEXT, files=FILES,
)  # fmt: skip
OTHER = replace(PARCEL, files=(replace(FILES[0], content=b"other"), FILES[1]))
"""The same key, another content."""
LARGE = replace(PARCEL, files=(*FILES, File("large.bin", "application/octet-stream", bytes(8_000_000))))
"""Larger than what a connection buffers."""
