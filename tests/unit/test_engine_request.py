"""The engine's pure parts: what a request asks, where an INSERT's rows begin, formats, forms, errors, Native."""

from __future__ import annotations

import base64
import gzip
import zlib

import lz4.frame
import pytest
import zstandard

from infra.local.engine import bodies, forms, native
from infra.local.engine.errors import QueryError, from_engine
from infra.local.engine.formats import content_type, joinable
from infra.local.engine.request import parse
from infra.local.engine.statement import insert_of, names_file, result_format, takes_input


def test_a_url_gives_query_parameters_settings_and_transport_apart() -> None:
    request = parse(
        "POST",
        b"query=SELECT+%7Bx%3AString%7D&param_x=a%5Ctb&database=d&max_threads=1&default_format=JSON&wait_end_of_query=1"
        b"&query_id=q1&enable_http_compression=1&client_protocol_version=54405",
        [(b"Accept-Encoding", b"gzip"), (b"Content-Encoding", b"LZ4")],
    )
    assert request.query == "SELECT {x:String}"
    assert request.params == {"x": "a\\tb"}
    assert request.settings == {"max_threads": "1"}
    assert (request.database, request.default_format, request.query_id) == ("d", "JSON", "q1")
    assert (request.wait_end, request.accept, request.encoding) == (True, "gzip", "lz4")
    assert request.protocol_version == 54405


def test_headers_name_database_format_and_id() -> None:
    headers = [
        (b"X-ClickHouse-Database", b"d"), (b"X-ClickHouse-Format", b"CSV"), (b"X-ClickHouse-Query-Id", b"q"),
        (b"Accept-Encoding", b"gzip"),
    ]  # fmt: skip
    request = parse("GET", b"enable_http_compression=0", headers)
    assert (request.database, request.default_format, request.query_id) == ("d", "CSV", "q")
    assert request.accept is None
    assert request.reading


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        (b"", [(b"Authorization", b"Basic " + base64.b64encode("ü:p:w".encode()))], ("ü", "p:w")),
        (b"", [(b"X-ClickHouse-User", b"u"), (b"X-ClickHouse-Key", b"k")], ("u", "k")),
        (b"user=u&password=p", [], ("u", "p")),
        (b"password=p", [], ("default", "p")),
        (b"", [], (None, "")),
        (b"", [(b"Authorization", b"Basic !!!")], ("", "")),
    ],
)
def test_credentials(url: bytes, headers: list[tuple[bytes, bytes]], expected: tuple[str | None, str]) -> None:
    request = parse("GET", url, headers)
    assert (request.user, request.password) == expected


def test_sessions_and_their_limits() -> None:
    session = parse("GET", b"session_id=s&session_timeout=5&session_check=1", []).session
    assert session is not None
    assert (session.id, session.seconds, session.must_exist) == ("s", 5, True)
    for bad in (b"-1", b"x", b"3601"):
        with pytest.raises(QueryError) as refused:
            parse("GET", b"session_id=s&session_timeout=" + bad, [])
        assert refused.value.code == 374


@pytest.mark.parametrize("url", [b"a%20b=1", b"x%3B=1", b"max_threads=%FF", b"param_x=%FF"])
def test_names_and_values_that_cannot_be_settings_are_refused(url: bytes) -> None:
    with pytest.raises(QueryError) as refused:
        parse("GET", url, [])
    assert refused.value.code == 36


@pytest.mark.parametrize(
    ("sql", "head", "format", "rows"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n", b"INSERT INTO t ", "CSV", b"1,2\n"),
        (b"insert into t (a, format) format Native \r\n\x00\n", b"insert into t (a, format) ", "Native", b"\x00\n"),
        (b"INSERT INTO d.t VALUES (1),(2)", b"INSERT INTO d.t ", "Values", b" (1),(2)"),
        (b"INSERT INTO `values` SETTINGS a='FORMAT CSV' FORMAT TSV\n\n1",
         b"INSERT INTO `values` SETTINGS a='FORMAT CSV' ", "TSV", b"\n1"),
        (b"-- FORMAT CSV\nINSERT /* VALUES */ INTO t FORMAT JSONEachRow {}",
         b"-- FORMAT CSV\nINSERT /* VALUES */ INTO t ", "JSONEachRow", b"{}"),
        (b"INSERT INTO values VALUES (1)", b"INSERT INTO values ", "Values", b" (1)"),
        (b"INSERT INTO FUNCTION file('x') FORMAT CSV 1", b"INSERT INTO FUNCTION file('x') ", "CSV", b"1"),
    ],
)  # fmt: skip
def test_the_rows_of_an_insert(sql: bytes, head: bytes, format: str, rows: bytes) -> None:
    insert = insert_of(sql)
    assert insert is not None
    assert (insert.head, insert.format, sql[insert.data :]) == (head, format, rows)


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT 1 FORMAT CSV", b"INSERT INTO t SELECT 1", b"INSERT INTO t (a) SELECT 1 FORMAT CSV", b"",
        b"INSERT INTO t WITH 1 AS x SELECT x", b"INSERT INTO t FROM INFILE 'f' FORMAT CSV", b"/* INSERT INTO t VALUES",
        b"INSERT INTO t",
    ],
)  # fmt: skip
def test_statements_without_rows_behind_them(sql: bytes) -> None:
    assert insert_of(sql) is None


@pytest.mark.parametrize(
    ("sql", "format"),
    [
        (b"SELECT 1 FORMAT JSON", "JSON"), (b"SELECT 1 format `CSV`;", "CSV"), (b"SELECT 1", None),
        (b"SELECT 1 FORMAT TSV SETTINGS a=1, b='x'", "TSV"), (b"SELECT 'x FORMAT CSV'", None),
        (b"SELECT 1 AS format", None), (b"SELECT format x FROM t", None), (b"SELECT (1 FORMAT CSV)", None),
        (b"SELECT 1 FORMAT CSV -- FORMAT JSON", "CSV"),
    ],
)  # fmt: skip
def test_the_format_that_a_query_names(sql: bytes, format: str | None) -> None:
    assert result_format(sql) == format


def test_words_of_the_client_are_seen_whatever_stands_between() -> None:
    assert names_file(b"SELECT 1 INTO/**/OUTFILE 'x'")
    assert names_file(b"INSERT INTO t FROM -- x\n infile 'x'")
    assert not names_file(b"SELECT 'INTO OUTFILE x', outfile FROM t")


def test_an_insert_that_selects_from_its_input_is_seen() -> None:
    assert takes_input(b"INSERT INTO t SELECT a FROM input /* */ ('a Int8') FORMAT CSV\n1")
    assert not takes_input(b"INSERT INTO t SELECT 'input(' FROM input")
    assert not takes_input(b"SELECT input(1)")


def test_formats() -> None:
    assert joinable("Native")
    assert not joinable("JSON")
    assert not joinable("CSVWithNames")
    assert content_type("JSONCompact") == "application/json; charset=UTF-8"
    assert content_type("JSONEachRow") == "application/x-ndjson; charset=UTF-8"
    assert content_type("CSVWithNames") == "text/csv; charset=UTF-8; header=present"
    assert content_type("Native") == "application/octet-stream"


def test_engine_errors_are_told_once() -> None:
    text = (
        "Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format Nope. Maybe you meant: ['One']. "
        "(UNKNOWN_FORMAT) (version 26.9.2.1). (UNKNOWN_FORMAT)"
    )
    error = from_engine(text)
    assert (error.code, error.status) == (73, 404)
    expected = "Code: 73. DB::Exception: Unknown format Nope. Maybe you meant: ['One']. (UNKNOWN_FORMAT)"
    assert str(error) == expected
    assert from_engine("x").code == 1002


@pytest.mark.parametrize(
    ("code", "status"), [(62, 400), (27, 400), (60, 404), (516, 403), (194, 401), (159, 408), (241, 500), (48, 501)]
)
def test_statuses_are_a_servers(code: int, status: int) -> None:
    assert QueryError(code, "").status == status


_ENCODED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}


@pytest.mark.parametrize("encoding", _ENCODED)
def test_bodies_decode_in_any_pieces_and_several_frames(encoding: str) -> None:
    plain = b"rows and rows\n" * 1_000
    data = _ENCODED[encoding](plain)
    if encoding != "deflate":
        data += _ENCODED[encoding](b"more")
        plain += b"more"
    for size in (1, 7, 10_000_000):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert b"".join(bodies.decode(pieces, encoding)) == plain


@pytest.mark.parametrize("encoding", _ENCODED)
def test_a_cut_or_damaged_body_is_refused(encoding: str) -> None:
    data = _ENCODED[encoding](bytes(range(256)) * 50)
    for bad in (data[:-3], data[: len(data) // 2], b"nonsense, not compressed at all"):
        with pytest.raises(QueryError) as refused:
            list(bodies.decode([bad], encoding))
        assert refused.value.code == 117
    with pytest.raises(QueryError) as refused:
        list(bodies.decode([data], "snappy"))
    assert refused.value.code == 48


@pytest.mark.parametrize("encoding", bodies.ENCODINGS)
def test_answers_are_encoded_piece_by_piece(encoding: str) -> None:
    encoder = bodies.Encoder(encoding)
    data = encoder.encode(b"one") + encoder.encode(b"two" * 10_000) + encoder.finish()
    assert b"".join(bodies.decode([data], encoding)) == b"one" + b"two" * 10_000
    assert b"".join(bodies.decode([bodies.Encoder(encoding).whole(b"")], encoding)) == b""


def test_the_encoding_of_an_answer() -> None:
    assert bodies.choose("gzip, lz4") == "lz4"
    assert bodies.choose("gzip;q=0, deflate") == "deflate"
    assert bodies.choose("snappy") is None


def test_forms() -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT 1\r\n'
        b'--B\r\nContent-Disposition: form-data; name="t"; filename="t.csv"\r\nContent-Type: text/csv\r\n\r\n'
        b"1,2\r\n\n\r\n--B--\r\n"
    )
    form = forms.parse("multipart/form-data; boundary=B", body)
    assert form.fields == {"query": "SELECT 1"}
    assert form.files == {"t": b"1,2\r\n\n"}
    [table] = forms.tables(form, {"t_types": "Tuple(a Int8, b Int8),String", "t_format": "CSV"})
    assert (table.structure, table.format) == ("_1 Tuple(a Int8, b Int8), _2 String", "CSV")
    with pytest.raises(QueryError):
        forms.tables(form, {})
    with pytest.raises(QueryError):
        forms.parse("multipart/form-data; boundary=B", body[:-10])


def test_native_blocks_get_their_version() -> None:
    def column(name: bytes, type_: bytes) -> bytes:
        return bytes([len(name)]) + name + bytes([len(type_)]) + type_

    offsets = (2).to_bytes(8, "little") + (2).to_bytes(8, "little")
    a, b = column(b"a", b"String"), column(b"b", b"Array(Nullable(UInt16))")
    strings, arrays = b"\x01x\x00", offsets + b"\x00\x01" + b"\x07\x00\x00\x00"
    block = b"\x02\x02" + a + strings + b + arrays
    info = b"\x01\x00\x02\xff\xff\xff\xff\x00"
    expected = info + b"\x02\x02" + a + b"\x00" + strings + b + b"\x00" + arrays
    assert native.revised(block * 2) == expected * 2
    assert native.revised(b"") == b""
    empty = b"\x01\x00" + column(b"a", b"Dynamic")
    assert native.revised(empty) == info + empty + b"\x00"
    with pytest.raises(QueryError):
        native.revised(b"\x01\x01" + column(b"a", b"Dynamic") + b"xxx")
