"""The local stack as one thing: `up`, `down` and `status` of Kafka and the ClickHouse engine.

Everything lives in the home: `kafka/` and `clickhouse/` (data), `logs/`, `run/` (pid files), `secrets/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from infra.errors import ConfigurationError, RollcallError
from infra.local.clickhouse import ClickHouseEngine
from infra.local.kafka import KafkaNode, kafka_version
from infra.local.ports import LOOPBACK, is_free
from infra.local.processes import BackgroundProcess, exclusive
from infra.local.secrets import ACCOUNTS, USER, create_secrets
from infra.secrets import CLICKHOUSE_PASSWORD
from infra.waiting import wait_until
from schemas.settings import Settings

Tell = Callable[[str], None]

START_SECONDS: Final = 120.0
ANSWER_AGAIN_SECONDS: Final = 30.0
STOP_SECONDS: Final = 30.0
LOCK_SECONDS: Final = 300.0


@dataclass(frozen=True)
class ServiceStatus:
    """One service as it is now; `pid` is None when no process of ours runs, `version` when it is unknown."""

    name: str
    address: str
    pid: int | None
    answering: bool
    data: Path
    log: Path
    version: str | None


class Service(Protocol):
    """What `up` needs to know of a server."""

    @property
    def process(self) -> BackgroundProcess: ...
    @property
    def port(self) -> int: ...
    @property
    def address(self) -> str: ...
    def start(self, tell: Tell) -> None: ...
    def answers(self) -> bool: ...


def up(settings: Settings, tell: Tell) -> None:
    """Starts what does not run, and returns when both answer; safe to repeat, and two at once start one stack.

    Raises ConfigurationError (home, port, key), OutOfReach (jars that cannot be fetched) or RollcallError (a
    server that does not start, with its last words and the path of its log).
    """
    with _locked(settings, tell):
        kafka, clickhouse = _services(settings)
        changed = create_secrets(settings, data_exists=clickhouse.data.exists())
        if changed and clickhouse.process.stop(STOP_SECONDS):
            tell("ClickHouse's accounts changed: starting it again …")
        for service in (kafka, clickhouse):
            _refuse_taken_port(service)
        with ThreadPoolExecutor(max_workers=2) as pool:
            started = [pool.submit(_ensure, service, tell) for service in (kafka, clickhouse)]
        errors = [error for future in started if (error := future.exception()) is not None]
        if len(errors) == 2 and all(isinstance(error, RollcallError) for error in errors):
            raise type(errors[0])("\n".join(str(error) for error in errors))
        if errors:
            raise errors[0]
    for hint in _detours(settings):
        tell(hint)


def down(settings: Settings, tell: Tell) -> None:
    """Ends what runs, asking first; data, logs and secrets stay. Safe to repeat."""
    if not settings.home.is_dir():
        tell(f"nothing runs: there is no {settings.home}")
        return
    with _locked(settings, tell):
        for service in _services(settings):
            stopped = service.process.stop(STOP_SECONDS)
            tell(f"{service.process.name} {'stopped' if stopped else 'was not running'}")


def status(settings: Settings) -> list[ServiceStatus]:
    """Both services as they are now; asks each, starts nothing, needs no home."""
    kafka, clickhouse = _services(settings)
    kafka_pid, clickhouse_pid = kafka.process.running(), clickhouse.process.running()
    kafka_answers = kafka_pid is not None and kafka.answers()
    clickhouse_answers = clickhouse_pid is not None and clickhouse.answers()
    engine = None
    if clickhouse_answers:
        password = (settings.secrets / CLICKHOUSE_PASSWORD).read_text("ascii").strip()
        engine = clickhouse.version(USER, password)
    return [
        ServiceStatus(
            kafka.process.name, kafka.address, kafka_pid, kafka_answers, kafka.data, kafka.process.log_file,
            kafka_version(),
        ),
        ServiceStatus(
            clickhouse.process.name, clickhouse.address, clickhouse_pid, clickhouse_answers, clickhouse.data,
            clickhouse.process.log_file, engine,
        ),
    ]


def _services(settings: Settings) -> tuple[KafkaNode, ClickHouseEngine]:
    home = settings.home.resolve()

    def process(name: str) -> BackgroundProcess:
        key = name.lower()
        return BackgroundProcess(name, home / "run" / f"{key}.json", home / "logs" / f"{key}.log", home / key)

    return (
        KafkaNode(home / "kafka", settings.local.kafka_port, process("Kafka")),
        ClickHouseEngine(
            home / "clickhouse", settings.local.clickhouse_port, settings.secrets.resolve() / ACCOUNTS,
            process("ClickHouse"),
        ),
    )


@contextmanager
def _locked(settings: Settings, tell: Tell) -> Iterator[None]:
    home = settings.home.resolve()
    lock = home / "stack.lock"
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock.open("a").close()
    except OSError as error:
        raise ConfigurationError(
            f"the home {home} cannot be written ({error.strerror}): mend its permissions, "
            "or name another folder in ROLLCALL_HOME"
        ) from None
    with exclusive(lock, LOCK_SECONDS, lambda: tell("another `rollcall up` or `down` is at work: waiting …")):
        try:
            yield
        except OSError as error:
            raise RollcallError(
                f"{error.filename or home}: {error.strerror or error}: mend the folder (permissions, room on the "
                "disk), then run the command again"
            ) from None


def _refuse_taken_port(service: Service) -> None:
    if service.process.running() is None and not is_free(service.port):
        name = service.process.name
        raise ConfigurationError(
            f"{name}'s port {service.port} on {LOOPBACK} is taken by another program: end it, or choose another "
            f"port in ROLLCALL_LOCAL_{name.upper()}_PORT"
        )


def _ensure(service: Service, tell: Tell) -> None:
    process = service.process
    pid = process.running()
    if pid is None:
        service.start(tell)
        tell(f"starting {process.name} on {service.address} …")
        wait_until(lambda: service.answers() or process.running() is None, START_SECONDS)
        if process.running() is None:
            raise RollcallError(f"{process.name} ended while it started; {_last_words(process)}")
        if not service.answers():
            raise RollcallError(
                f"{process.name} does not answer {START_SECONDS:.0f} s after its start; {_last_words(process)}"
            )
    elif not wait_until(service.answers, ANSWER_AGAIN_SECONDS):
        raise RollcallError(
            f"{process.name} runs (pid {pid}) but does not answer at {service.address}: `rollcall down`, then "
            f"`rollcall up` starts it again, also after a change of its port; {_last_words(process)}"
        )
    tell(f"{process.name} answers on {service.address} (pid {process.running()}; log {process.log_file})")


def _last_words(process: BackgroundProcess) -> str:
    said = process.tail()
    return f"its log {process.log_file} ends with:\n{said}" if said else f"its log {process.log_file} is empty"


def _detours(settings: Settings) -> Iterator[str]:
    """A hint for each address that does not lead to this stack, as after a change of a local port alone."""
    kafka, clickhouse = _services(settings)
    if kafka.address not in settings.kafka.bootstrap:
        yield (
            f"note: ROLLCALL_KAFKA_BOOTSTRAP is {settings.kafka.bootstrap}, which is not this stack; "
            f"to use it: export ROLLCALL_KAFKA_BOOTSTRAP={kafka.address}"
        )
    if str(settings.clickhouse.url).rstrip("/") != clickhouse.address:
        yield (
            f"note: ROLLCALL_CLICKHOUSE_URL is {settings.clickhouse.url}, which is not this stack; "
            f"to use it: export ROLLCALL_CLICKHOUSE_URL={clickhouse.address}"
        )
