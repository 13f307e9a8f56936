"""The engine's process, driven as its clients drive a ClickHouse server."""

from __future__ import annotations

import base64
import datetime
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import clickhouse_connect
import lz4.frame
import pytest
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

REPOSITORY = Path(__file__).parents[2]
WRITER, READER = ("rollcall", "secret"), ("dashboards", "other")


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the deadline"
        time.sleep(0.02)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return self.headers.get("x-clickhouse-exception-code")


@dataclass
class Process:
    data: Path
    port: int
    accounts: Path
    process: subprocess.Popen[str]

    def url(self, **parameters: str) -> str:
        return f"http://127.0.0.1:{self.port}/?{urllib.parse.urlencode(parameters)}"

    def ask(
        self,
        body: str | bytes | None,
        account: tuple[str, str] | None = WRITER,
        headers: dict[str, str] | None = None,
        **parameters: str,
    ) -> Reply:
        """POST of `body`; GET when it is None."""
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.url(**parameters), data=data, headers=headers or {})
        if account is not None:
            request.add_header("Authorization", "Basic " + base64.b64encode(":".join(account).encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return Reply(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read())
        except urllib.error.HTTPError as reply:
            return Reply(reply.code, {k.lower(): v for k, v in reply.headers.items()}, reply.read())

    def value(self, sql: str, **parameters: str) -> str:
        reply = self.ask(sql, **parameters)
        assert reply.status == 200, reply.body
        return reply.body.decode().removesuffix("\n")

    def run(self, sql: str, **parameters: str) -> None:
        self.value(sql, **parameters)

    def client(self, account: tuple[str, str] = WRITER, **options: object) -> Client:
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=self.port, username=account[0], password=account[1], **options
        )

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5) as reply:
                return bool(reply.read() == b"Ok.\n")
        except OSError:
            return False

    def raw(self, body: bytes, length: int | None = None) -> socket.socket:
        """A POST whose length may be a lie; the connection stays open."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        head = f"POST / HTTP/1.1\r\nHost: x\r\nX-ClickHouse-User: {WRITER[0]}\r\nX-ClickHouse-Key: {WRITER[1]}\r\n"
        head += f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return connection


def launch(data: Path, port: int, accounts: Path) -> subprocess.Popen[str]:
    arguments = ["--data", str(data), "--port", str(port), "--accounts", str(accounts)]
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local.engine", *arguments],
        cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def start(folder: Path) -> Process:
    accounts = folder / "accounts.json"
    users = {
        WRITER[0]: {"password": WRITER[1], "readonly": False},
        READER[0]: {"password": READER[1], "readonly": True},
    }
    accounts.write_text(json.dumps({"users": users}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = Process(folder / "data", port, accounts, launch(folder / "data", port, accounts))
    until(lambda: process.answers() or process.process.poll() is not None)
    assert process.process.poll() is None, process.process.stderr and process.process.stderr.read()
    return process


def end(process: Process) -> int:
    process.process.send_signal(signal.SIGTERM)
    return process.process.wait(timeout=15)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = start(tmp_path_factory.mktemp("engine"))
    process.run("CREATE DATABASE rollcall")
    yield process
    assert end(process) == 0


@pytest.fixture
def table(engine: Process) -> str:
    name = f"rollcall.t{uuid.uuid4().hex}"
    engine.run(f"CREATE TABLE {name} (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    return name


# --- clickhouse-connect ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {}, {"autogenerate_session_id": False}, {"compress": False}, {"compress": "gzip"},
        {"form_encode_query_params": True},
    ],
)  # fmt: skip
def test_clickhouse_connect_creates_inserts_and_queries(engine: Process, options: dict[str, object]) -> None:
    client = engine.client(**options)
    name = f"rollcall.c{uuid.uuid4().hex}"
    client.command(
        f"CREATE TABLE {name} (m Date, t String, k FixedString(16), f Tuple(DateTime64(6, 'UTC'), String), n UInt32) "
        "ENGINE = MergeTree PARTITION BY m ORDER BY (m, k)"
    )
    time_ = datetime.datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC)
    rows = [
        [datetime.date(2010 + n // 12, n % 12 + 1, 1), f"é{n}", n.to_bytes(16, "big"), (time_, "id"), n]
        for n in range(150)
    ]
    summary = client.insert(name, rows, ["m", "t", "k", "f", "n"], settings={"max_partitions_per_insert_block": 0})
    assert summary.written_rows == 150
    result = client.query(f"SELECT * FROM {name} ORDER BY n", tz_mode="aware").result_rows
    assert [list(row) for row in result] == rows
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as stream:
        assert sum(row[0] for block in stream for row in block) == 300_000 * 299_999 // 2
    parameters = {"a": "it's\n\\\t", "b": [1, 2]}
    row = client.query("SELECT {a:String}, {b:Array(UInt8)}", parameters=parameters).first_row
    assert row == tuple(parameters.values())
    assert client.command("SELECT timezone()") == "UTC"
    client.raw_insert(name, ["m", "n"], "2026-10-01,151\n", fmt="CSV")
    assert client.raw_query(f"SELECT count() FROM {name}", fmt="TSV") == b"151\n"
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM rollcall.nope")
    client.close()


def test_a_token_is_stored_once(engine: Process) -> None:
    name = f"rollcall.d{uuid.uuid4().hex}"
    engine.run(
        f"CREATE TABLE {name} (a UInt32) ENGINE = MergeTree ORDER BY a "
        "SETTINGS non_replicated_deduplication_window = 10"
    )
    client = engine.client()
    for token in ("x", "x", "y"):
        client.insert(name, [[1], [2]], ["a"], settings={"insert_deduplication_token": token})
    assert engine.value(f"SELECT count() FROM {name}") == "4"


def test_a_reading_client_reads(engine: Process, table: str) -> None:
    engine.run(f"INSERT INTO {table} VALUES (1, 'x')")
    client = engine.client(READER)
    assert client.query(f"SELECT * FROM {table}").result_rows == [(1, "x")]
    with pytest.raises(DatabaseError, match="READONLY"):
        client.insert(table, [[2, "y"]], ["a", "b"])


def test_external_data(engine: Process) -> None:
    from clickhouse_connect.driver.external import ExternalData

    data = ExternalData(data=b"1,x\n2,y\n", file_name="people", fmt="CSV", structure=["a UInt32", "b String"])
    client = engine.client()
    assert client.query("SELECT sum(a), max(b) FROM people", external_data=data).first_row == (3, "y")
    again = client.query("SELECT sum(a), max(b) FROM people", external_data=data)
    assert again.first_row == (3, "y"), "the table of the first request is gone"


# --- queries over HTTP ----------------------------------------------------------------------------------


def test_pages_beside_the_query(engine: Process) -> None:
    for path in ("ping", "replicas_status", ""):
        with urllib.request.urlopen(f"http://127.0.0.1:{engine.port}/{path}", timeout=5) as reply:
            assert reply.read() == b"Ok.\n"
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(f"http://127.0.0.1:{engine.port}/play", timeout=5)
    assert missing.value.code == 404
    assert b"There is no handle /play" in missing.value.read()


def test_a_query_in_url_body_or_both(engine: Process) -> None:
    assert engine.ask(None, query="SELECT 1").body == b"1\n"
    assert engine.ask("SELECT 2").body == b"2\n"
    assert engine.ask("+ 2", query="SELECT 1").body == b"3\n"
    reply = engine.ask("SELECT 1 AS x", default_format="JSONCompact", query_id="mine")
    assert json.loads(reply.body)["data"] == [[1]]
    assert reply.headers["content-type"] == "application/json; charset=UTF-8"
    assert reply.headers["x-clickhouse-query-id"] == "mine"
    assert reply.headers["x-clickhouse-format"] == "JSONCompact"
    assert reply.headers["x-clickhouse-timezone"] == "UTC"
    assert int(json.loads(reply.headers["x-clickhouse-summary"])["elapsed_ns"]) > 0
    assert engine.ask("SELECT 1", headers={"X-ClickHouse-Format": "CSV"}).headers["x-clickhouse-format"] == "CSV"


@pytest.mark.parametrize("format", ["JSON", "CSVWithNames", "Native", "RowBinary", "JSONEachRow", "Parquet", "XML"])
@pytest.mark.parametrize("wait", ["0", "1"])
def test_large_results_are_whole_in_every_format(engine: Process, format: str, wait: str) -> None:
    """Results of many blocks: joined or made in one piece, but never a document a block."""
    reply = engine.ask(f"SELECT number AS n FROM numbers(200000) FORMAT {format}", wait_end_of_query=wait)
    assert reply.status == 200
    name = f"rollcall.f{uuid.uuid4().hex}"
    if format == "XML":
        assert reply.body.count(b"<?xml") == 1
        assert reply.body.count(b"<row>") == 200_000
        return
    engine.run(f"CREATE TABLE {name} (n UInt64) ENGINE = Memory")
    engine.run(reply.body, query=f"INSERT INTO {name} FORMAT {format}")  # type: ignore[arg-type]
    assert engine.value(f"SELECT count(), sum(n) FROM {name}") == f"200000\t{200_000 * 199_999 // 2}"


@pytest.mark.parametrize(
    ("format", "body"),
    [
        ("CSV", b"1,x\n2,y\n"), ("JSONEachRow", b'{"a":1,"b":"x"}\n{"a":2,"b":"y"}'), ("TabSeparated", b"1\tx\n2\ty\n"),
        ("RowBinary", b"\x01\0\0\0\x01x\x02\0\0\0\x01y"), ("Values", b"(1,'x'),(2,lower('Y'))"),
        ("Native", b"\x02\x02\x01a\x06UInt32\x01\0\0\0\x02\0\0\0\x01b\x06String\x01x\x01y"),
    ],
)  # fmt: skip
def test_inserts_in_every_format_url_or_body(engine: Process, table: str, format: str, body: bytes) -> None:
    words = f"INSERT INTO {table} (a, b) " + ("VALUES" if format == "Values" else f"FORMAT {format}")
    assert engine.ask(body, query=words).status == 200
    assert engine.ask(words.encode() + b"\n" + body).status == 200
    expected = "1\tx\t2\n2\ty\t2"
    assert engine.value(f"SELECT a, b, count() FROM {table} GROUP BY ALL ORDER BY a") == expected


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "lz4"])
def test_compression_both_ways(engine: Process, table: str, encoding: str) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress, "lz4": lz4.frame.compress,
    }  # fmt: skip
    unpack: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress, "deflate": zlib.decompress, "lz4": lz4.frame.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }  # fmt: skip
    packed = pack[encoding](b"1,x\n" * 1_000)
    headers = {"Content-Encoding": encoding}
    assert engine.ask(packed, query=f"INSERT INTO {table} FORMAT CSV", headers=headers).status == 200
    cut = engine.ask(packed[:-4], query=f"INSERT INTO {table} FORMAT CSV", headers=headers)
    assert (cut.status, cut.code) == (400, "117")
    assert engine.value(f"SELECT count() FROM {table}") == "1000"
    for sql in ("SELECT 1", "SELECT number FROM numbers(200000)", "SELECT 1 FORMAT JSON"):
        reply = engine.ask(sql, headers={"Accept-Encoding": encoding}, enable_http_compression="1")
        assert reply.headers["content-encoding"] == encoding
        assert unpack[encoding](reply.body) == engine.ask(sql).body or "JSON" in sql
    plain = engine.ask("SELECT 1", headers={"Accept-Encoding": encoding}, enable_http_compression="0")
    assert "content-encoding" not in plain.headers


def test_native_block_compression_is_refused_clearly(engine: Process) -> None:
    reply = engine.ask("SELECT 1", compress="1")
    assert (reply.status, reply.code) == (501, "48")
    assert b"Content-Encoding" in reply.body


def test_settings_hold_for_their_request_alone(engine: Process) -> None:
    ask = "SELECT getSetting('max_block_size'), currentDatabase()"
    usual = engine.value(ask)
    for session in ({}, {"session_id": uuid.uuid4().hex}):
        for _ in range(3):
            assert engine.value(ask, max_block_size="77", database="system", **session) == "77\tsystem"
            assert engine.value(ask, **session) == usual
        engine.run("SET max_threads = 1", max_block_size="78", **session)
        assert engine.value(ask, **session) == usual
        assert engine.value(ask, max_block_size="77", database="system", **session) == "77\tsystem"
        assert engine.value(ask, **session) == usual
    refused = engine.ask("SELECT 1", no_such_setting="1")
    assert (refused.status, refused.code) == (404, "115")


def test_parameters_also_in_inserts(engine: Process, table: str) -> None:
    assert engine.value("SELECT {x:String} || {y:String}", param_x="a\\tb", param_y="'") == "a\\tb\\'"
    name = table.removeprefix("rollcall.")
    engine.run("INSERT INTO {t:Identifier} FORMAT CSV\n1,x\n", param_t=name, database="rollcall")
    assert engine.value(f"SELECT count() FROM {table}") == "1"


def test_a_session_keeps_what_a_statement_left(engine: Process) -> None:
    session = uuid.uuid4().hex
    unknown = engine.ask("SELECT 1", session_id=session, session_check="1")
    assert unknown.code == "372"
    engine.run("CREATE TEMPORARY TABLE kept (a UInt8)", session_id=session)
    engine.run("INSERT INTO kept VALUES (7)", session_id=session)
    engine.run("USE rollcall", session_id=session)
    engine.run("SET max_block_size = 79", session_id=session)
    ask = "SELECT a, currentDatabase(), getSetting('max_block_size') FROM kept"
    assert engine.value(ask, session_id=session, session_check="1") == "7\trollcall\t79"
    assert engine.ask(ask).code == "60"
    assert engine.ask(ask, account=READER, session_id=session).code == "60", "sessions belong to a user"
    assert engine.value("SELECT 1", session_id=session, close_session="1") == "1"
    assert engine.ask("SELECT 1", session_id=session, session_check="1").code == "372"


def test_a_session_is_one_clients_at_a_time(engine: Process) -> None:
    session = uuid.uuid4().hex
    slow = threading.Thread(target=engine.ask, args=("SELECT sleep(2)",), kwargs={"session_id": session})
    slow.start()
    until(lambda: engine.value("SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(2)%'") == "1")
    assert engine.ask("SELECT 1", session_id=session).code == "373"
    slow.join()
    assert engine.value("SELECT 1", session_id=session) == "1"


def test_many_clients_at_once(engine: Process, table: str) -> None:
    wrong: list[str] = []

    def work(client: int) -> None:
        for n in range(20):
            ask = f"SELECT {client * 1000 + n}, getSetting('max_block_size')"
            value = engine.value(ask, max_block_size=str(client + 1))
            if value != f"{client * 1000 + n}\t{client + 1}":
                wrong.append(value)
            engine.run(f"INSERT INTO {table} VALUES ({client}, '{n}')")

    threads = [threading.Thread(target=work, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert engine.value(f"SELECT count(), uniqExact(a, b) FROM {table}") == "160\t160"


# --- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("selec 1", 400, "62"), ("SELECT nope", 404, "47"), ("SELECT * FROM rollcall.nope", 404, "60"), ("", 400, "62"),
        ("SELECT 1; SELECT 2", 400, "62"), ("SELECT 1 FORMAT Nope", 404, "73"), ("SELECT throwIf(1)", 500, "395"),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 404, "78"),
        ("SELECT sleep(3) SETTINGS max_execution_time = 1", 408, "159"),
    ],
)  # fmt: skip
def test_errors_have_clickhouses_shape(engine: Process, sql: str, status: int, code: str) -> None:
    reply = engine.ask(sql, wait_end_of_query="1")
    assert (reply.status, reply.code) == (status, code), reply.body
    assert reply.body.startswith(f"Code: {code}. DB::Exception: ".encode())


def test_an_error_in_the_middle_of_an_answer_cannot_be_missed(engine: Process) -> None:
    with engine.raw(b"SELECT throwIf(number = 1000000) FROM numbers(2000000)") as connection:
        reply = b""
        while data := connection.recv(1 << 20):
            reply += data
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    tag = head.lower().partition(b"x-clickhouse-exception-tag: ")[2].split(b"\r\n")[0]
    assert b"__exception__\r\n" + tag + b"\r\nCode: 395. DB::Exception: " in body
    assert not body.endswith(b"0\r\n\r\n"), "the chunked body must not look complete"
    client = engine.client()
    with pytest.raises(Exception, match="throwIf"), client.query_row_block_stream(
        "SELECT throwIf(number = 1000000) FROM numbers(2000000)"
    ) as stream:
        for _ in stream:
            pass


@pytest.mark.parametrize("account", [("rollcall", "wrong"), ("nobody", "secret"), ("", ""), ("dashboards", "secret")])
def test_wrong_passwords(engine: Process, account: tuple[str, str]) -> None:
    reply = engine.ask("SELECT 1", account=account)
    assert (reply.status, reply.code) == (403, "516")
    assert b"Authentication failed" in reply.body


def test_every_way_to_give_a_password(engine: Process) -> None:
    assert engine.ask("SELECT 1", account=None).status == 401
    headers = {"X-ClickHouse-User": WRITER[0], "X-ClickHouse-Key": WRITER[1]}
    assert engine.ask("SELECT 1", account=None, headers=headers).body == b"1\n"
    assert engine.ask("SELECT 1", account=None, user=WRITER[0], password=WRITER[1]).body == b"1\n"


# --- what must not happen -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {t} VALUES (1, 'x')", "INSERT INTO {t} SELECT 1, 'x'", "DROP TABLE {t}", "TRUNCATE TABLE {t}",
        "ALTER TABLE {t} DELETE WHERE 1", "OPTIMIZE TABLE {t}", "RENAME TABLE {t} TO rollcall.gone",
        "CREATE TABLE rollcall.made (a UInt8) ENGINE = Memory", "CREATE TEMPORARY TABLE made (a UInt8)",
        "CREATE DATABASE made", "CREATE VIEW rollcall.made AS SELECT 1", "CREATE FUNCTION made AS x -> x",
        "SELECT file('{f}')", "SELECT `file`('{f}')", "SELECT \"file\" /* */ ('{f}')", "SELECT * FROM file('{f}')",
        "SELECT file/**/\n('{f}')", "WITH 1 AS x SELECT (SELECT file('{f}'))", "EXPLAIN SELECT file('{f}')",
        "SELECT * FROM view(SELECT file('{f}'))", "SELECT * FROM '{f}'", "DESCRIBE file('{f}')",
        "DESCRIBE TABLE url('http://127.0.0.1:1/')", "SELECT * FROM url('http://127.0.0.1:1/')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/x')", "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM python(x)", "SELECT * FROM executable('x', 'CSV', 'a UInt8')", "SELECT 1 INTO OUTFILE '{f}.out'",
        "SELECT 1 INTO -- x\nOUTFILE '{f}.out'", "INSERT INTO FUNCTION file('{f}.out') SELECT 1",
        "SET readonly = 0", "SET max_threads = 1", "SELECT 1 SETTINGS readonly = 0", "SELECT 1; DROP TABLE {t}",
        "KILL QUERY WHERE 1", "SYSTEM FLUSH LOGS", "SYSTEM SHUTDOWN", "GRANT ALL ON *.* TO default",
        "BACKUP TABLE {t} TO File('{f}.out')", "DETACH TABLE {t}", "USE rollcall", "BEGIN TRANSACTION",
        "DELETE FROM {t} WHERE 1", "UPDATE {t} SET b = 'q' WHERE 1", "EXCHANGE TABLES {t} AND {t}",
        "EXISTS TABLE `{f}`",
    ],
)  # fmt: skip
def test_a_reader_only_reads(engine: Process, table: str, tmp_path: Path, sql: str) -> None:
    engine.run(f"INSERT INTO {table} VALUES (1, 'x')")
    file = tmp_path / "secret.csv"
    file.write_text("hush,hush\n")
    before = engine.value("SELECT count(), groupArraySorted(100)(name) FROM system.tables WHERE database != 'system'")
    statement = sql.replace("{t}", table).replace("{f}", str(file))
    for session in ({}, {"session_id": "reader"}):
        reply = engine.ask(statement, account=READER, **session)
        assert reply.status >= 400, reply.body
        assert b"hush" not in reply.body.replace(statement.encode(), b"")
    assert list(tmp_path.iterdir()) == [file]
    assert engine.value(f"SELECT * FROM {table}") == "1\tx"
    after = engine.value("SELECT count(), groupArraySorted(100)(name) FROM system.tables WHERE database != 'system'")
    assert after == before


@pytest.mark.parametrize(
    "setting",
    [
        {"readonly": "0"}, {"dialect": "kusto"}, {"implicit_select": "1"}, {"allow_ddl": "1"},
        {"additional_table_filters": "{'system.one': 'file(\\'/etc/passwd\\') != \\'\\''}"},
        {"format_schema": "/etc/passwd"},
        {"format_template_resultset": "/etc/passwd"}, {"select": "file('/etc/passwd')"}, {"filter": "1"},
    ],
)
def test_a_reader_cannot_lift_its_limits_by_url(engine: Process, setting: dict[str, str]) -> None:
    assert engine.ask("SELECT 1", account=READER, **setting).code == "164"
    assert engine.ask("SELECT 1", account=READER, max_execution_time="5").body == b"1\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT file, url FROM (SELECT 1 AS file, 2 AS url)", "SELECT format('{}', 'x')", "SHOW TABLES FROM rollcall",
        "SELECT 'file(1)' -- url(", "EXPLAIN SELECT 1", "SELECT * FROM numbers(2)", "DESCRIBE system.one",
        "SELECT count() FROM system.columns", "WITH 1 AS file SELECT file", "EXISTS TABLE system.one",
    ],
)  # fmt: skip
def test_a_reader_may_read(engine: Process, sql: str) -> None:
    assert engine.ask(sql, account=READER).status == 200


def test_what_the_engine_would_drop_in_silence_is_refused(engine: Process, table: str) -> None:
    words = f"INSERT INTO {table} SELECT a, b FROM input('a UInt32, b String') FORMAT CSV"
    for reply in (engine.ask(words + "\n1,x\n"), engine.ask("1,x\n", query=words)):
        assert reply.code == "48"


def test_a_large_body_goes_by_way_of_the_disk(engine: Process, table: str) -> None:
    rows = 800_000
    body = b"".join(b"%d,%s\n" % (n, b"x" * 90) for n in range(rows))
    assert len(body) > 64 << 20
    reply = engine.ask(body, query=f"INSERT INTO {table} FORMAT CSV")
    assert reply.status == 200
    assert engine.value(f"SELECT count(), uniqExact(a) FROM {table}") == f"{rows}\t{rows}"
    assert list((engine.data / "bodies").iterdir()) == []


def test_a_page_of_another_origin_may_ask_when_it_says_so(engine: Process) -> None:
    request = urllib.request.Request(engine.url(), method="OPTIONS", headers={"Origin": "http://tool.example"})
    with urllib.request.urlopen(request, timeout=5) as reply:
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
    reply = engine.ask("SELECT 1", add_http_cors_header="1", headers={"Origin": "http://tool.example"})
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in engine.ask("SELECT 1").headers


def test_the_go_client_gets_its_native_blocks(engine: Process) -> None:
    """`client_protocol_version`: block info before each block, a byte before each column's data."""
    for sql in ("SELECT toUInt8(7) AS a, 'x' AS b", "DESCRIBE TABLE (SELECT 1 AS a)"):
        plain = engine.ask(sql, default_format="Native").body
        asked = engine.ask(sql, default_format="Native", client_protocol_version="54460").body
        assert asked.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00" + plain[:2])
        assert len(asked) == len(plain) + 8 + plain[0]


def test_get_changes_nothing(engine: Process, table: str) -> None:
    for sql in (f"INSERT INTO {table} VALUES (1, 'x')", f"DROP TABLE {table}", f"INSERT INTO {table} SELECT 1, 'x'"):
        reply = engine.ask(None, query=sql)
        assert reply.code == "164"
        assert b"method GET implies readonly" in reply.body
    assert engine.value(f"SELECT count() FROM {table}") == "0"


def test_a_body_that_is_cut_off_inserts_nothing(engine: Process, table: str) -> None:
    body = f"INSERT INTO {table} FORMAT CSV\n1,x\n2,y\n".encode()
    engine.raw(body, length=len(body) + 10).close()
    native = b"\x02\x02\x01a\x06UInt32\x01\0\0\0\x02\0\0\0\x01b\x06String\x01x\x01y"
    for cut in range(1, len(native)):
        assert engine.ask(native[:cut], query=f"INSERT INTO {table} FORMAT Native").status >= 400
        reply = engine.ask(native + native[:cut], query=f"INSERT INTO {table} FORMAT Native")
        assert reply.status >= 400
    assert engine.ask(b"1,x\nnot a number,y\n", query=f"INSERT INTO {table} FORMAT CSV").status == 400
    assert engine.value(f"SELECT count() FROM {table}") == "0"


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT count() FROM system.numbers WHERE sleep(0.01) = 1 FORMAT JSON SETTINGS max_block_size = 1",
        b"SELECT number FROM system.numbers",
    ],
)
def test_a_client_that_leaves_leaves_nothing_behind(engine: Process, sql: bytes) -> None:
    processes = "SELECT count() FROM system.processes WHERE query LIKE '%m.numbers%' AND query NOT LIKE '%.processes%'"
    for _ in range(20):  # more than there are threads
        connection = engine.raw(sql)
        until(lambda: engine.value(processes) == "1")
        connection.close()
        until(lambda: engine.value(processes) == "0")
    assert engine.value("SELECT 1") == "1"


# --- the process ----------------------------------------------------------------------------------------


def test_acknowledged_rows_survive_kill_9(tmp_path: Path) -> None:
    engine = start(tmp_path)
    engine.run("CREATE DATABASE rollcall")
    engine.run("CREATE TABLE rollcall.k (a UInt32) ENGINE = MergeTree ORDER BY a")
    acknowledged: list[int] = []
    for round_ in range(2):
        stop = threading.Event()

        def write(engine: Process = engine, first: int = round_ * 1_000_000, stop: threading.Event = stop) -> None:
            n = first
            while not stop.is_set():
                try:
                    if engine.ask(f"INSERT INTO rollcall.k VALUES ({n})").status == 200:
                        acknowledged.append(n)
                except OSError:
                    return
                n += 1

        before = len(acknowledged)
        writer = threading.Thread(target=write)
        writer.start()
        until(lambda before=before: len(acknowledged) > before + 20)  # type: ignore[misc]
        engine.process.kill()
        engine.process.wait()
        stop.set()
        writer.join()
        engine = start(tmp_path)
        stored = set(map(int, engine.value("SELECT a FROM rollcall.k").split()))
        assert set(acknowledged) <= stored
        assert len(stored) <= len(acknowledged) + round_ + 1, "at most the one in flight beside them"
    assert end(engine) == 0


def test_sigterm_ends_it_with_a_query_running(tmp_path: Path) -> None:
    engine = start(tmp_path)
    connection = engine.raw(b"SELECT count() FROM system.numbers WHERE sleep(0.01) = 1 SETTINGS max_block_size = 1")
    until(lambda: engine.value("SELECT count() FROM system.processes") == "2")
    begun = time.monotonic()
    assert end(engine) == 0
    assert time.monotonic() - begun < 10
    connection.close()


def test_a_second_process_and_a_taken_port_are_told_in_a_sentence(engine: Process, tmp_path: Path) -> None:
    second = launch(engine.data, engine.port + 1, engine.accounts)
    _, text = second.communicate(timeout=30)
    assert second.returncode == 3
    assert text == f"engine: data folder {engine.data} is in use by process {engine.process.pid}\n"
    third = launch(tmp_path / "data", engine.port, engine.accounts)
    _, text = third.communicate(timeout=30)
    assert third.returncode == 3
    assert f"port {engine.port}" in text
    assert "Traceback" not in text
    broken = tmp_path / "accounts.json"
    broken.write_text("{")
    fourth = launch(tmp_path / "data", engine.port, broken)
    _, text = fourth.communicate(timeout=30)
    assert fourth.returncode == 2
    assert text.count("\n") == 1


def test_it_listens_on_loopback_alone(engine: Process) -> None:
    listening = [
        line.split()[1] for line in Path(f"/proc/{engine.process.pid}/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{engine.port:04X}")
    ]  # fmt: skip
    assert listening == [f"0100007F:{engine.port:04X}"]
    assert os.stat(engine.data / "bodies").st_mode & 0o077 == 0
