"""From KafkaSettings to what each client library wants, and the one way to ask the cluster something.

Both libraries get the same addresses, the same TLS context and the same SASL account; a local broker and a
production cluster differ in settings only.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from infra.errors import ConfigurationError, OutOfReach, RollcallError
from schemas.settings import KafkaSettings

ANSWER_SECONDS: Final = 8.0  # how long an operator waits to be told that no broker answers


def kafka_python_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that every kafka-python client takes.

    Raises ConfigurationError for a missing account or an unreadable certificate.
    """
    return {"bootstrap_servers": addresses(settings), **_security(settings)}


def aiokafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client takes (Faust's transport builds such clients).

    Raises ConfigurationError for a missing account or an unreadable certificate.
    """
    return {"bootstrap_servers": addresses(settings), **_security(settings)}


def addresses(settings: KafkaSettings) -> list[str]:
    return [address.strip() for address in settings.bootstrap.split(",")]


def _security(settings: KafkaSettings) -> dict[str, Any]:
    # Both libraries use the names of the same old Java client.
    options: dict[str, Any] = {"security_protocol": settings.security}
    if settings.security in ("SSL", "SASL_SSL"):
        options["ssl_context"] = tls_context(settings)
    if settings.security in ("SASL_PLAINTEXT", "SASL_SSL"):
        if not settings.sasl_user or settings.sasl_password is None:
            raise ConfigurationError(
                f"ROLLCALL_KAFKA_SECURITY is {settings.security}, which needs an account: "
                "set ROLLCALL_KAFKA_SASL_USER and ROLLCALL_KAFKA_SASL_PASSWORD"
            )
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_user
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return options


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Checks the brokers' certificates and host names; shows the client's own certificate if there is one."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"ROLLCALL_KAFKA_CA_FILE={settings.ca_file}: {_why(error)}; name a PEM file of the brokers' authority"
        ) from None
    if settings.key_file is not None and settings.cert_file is None:
        raise ConfigurationError("ROLLCALL_KAFKA_KEY_FILE is set without ROLLCALL_KAFKA_CERT_FILE: set both or none")
    if settings.cert_file is not None:
        try:
            # An encrypted key must not stop an unattended start with a question on the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except OSError as error:
            raise ConfigurationError(
                f"ROLLCALL_KAFKA_CERT_FILE={settings.cert_file} with ROLLCALL_KAFKA_KEY_FILE="
                f"{settings.key_file}: {_why(error)}; name PEM files of one certificate and its unencrypted key"
            ) from None
    return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not a PEM file").lower().replace("_", " ")
    return error.strerror or str(error)


@contextmanager
def admin_client(options: Mapping[str, Any], seconds: float = ANSWER_SECONDS) -> Iterator[Any]:
    """A kafka-python admin client for `kafka_python_options(…)`; every question is answered within `seconds`.

    Raises OutOfReach when no broker answers or lets us in, also in the middle; RollcallError for what a broker
    refuses and the caller did not expect. The library's own log is silent meanwhile: the sentence has it all.
    """
    where = ",".join(options["bootstrap_servers"])
    if (reason := _unreachable(options["bootstrap_servers"], min(seconds, 3.0))) is not None:
        raise OutOfReach(_no_answer(where, reason))
    from kafka import KafkaAdminClient
    from kafka import errors as kafka_errors

    class Client(KafkaAdminClient):  # type: ignore[misc]
        def __init__(self, **configs: Any) -> None:
            try:
                super().__init__(**configs)
            except BaseException:
                with suppress(Exception):  # else its thread would go on trying for ever
                    self._client.close()
                    self._net.stop()
                raise

    with _overhearing(logging.getLogger("kafka")) as overheard:
        try:
            client = Client(
                **options, client_id="rollcall", bootstrap_timeout_ms=int(seconds * 1000),
                request_timeout_ms=int(seconds * 1000), reconnect_backoff_max_ms=500,
            )
            try:
                yield client
            finally:
                client.close()
        except kafka_errors.AuthorizationError as error:
            raise OutOfReach(
                f"Kafka at {where} does not allow this account to do that ({type(error).__name__}): give it the "
                "right, or set another in ROLLCALL_KAFKA_SASL_USER and ROLLCALL_KAFKA_SASL_PASSWORD"
            ) from None
        except (
            kafka_errors.KafkaTimeoutError, kafka_errors.KafkaConnectionError, kafka_errors.NodeNotReadyError,
            kafka_errors.SaslAuthenticationFailedError, OSError,
        ) as error:
            reason = overheard.reason or str(error) or type(error).__name__
            raise OutOfReach(_no_welcome(where, options["security_protocol"], reason)) from None
        except kafka_errors.KafkaError as error:
            raise RollcallError(f"Kafka at {where} refuses: {type(error).__name__}: {error}") from None


def _unreachable(servers: Sequence[str], seconds: float) -> str | None:
    """None when one of the servers takes a connection, else why the last does not: at once, and in plain words
    (the client library itself would try on until its deadline, and then name only that)."""
    reason = None
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
            return None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
    return reason


def _no_answer(where: str, reason: str) -> str:
    return (
        f"Kafka at {where} does not answer ({reason}): `rollcall up` starts the local stack; for another cluster "
        "set ROLLCALL_KAFKA_BOOTSTRAP"
    )


def _no_welcome(where: str, security: str, reason: str) -> str:
    """For a server that takes the connection; a broker that refuses an account often just hangs up."""
    checks = [f"that a Kafka listener of the kind {security} is there (ROLLCALL_KAFKA_BOOTSTRAP, …_SECURITY)"]
    if "SSL" in security:
        checks.append("ROLLCALL_KAFKA_CA_FILE, …_CERT_FILE and …_KEY_FILE")
    if "SASL" in security:
        checks.append("ROLLCALL_KAFKA_SASL_USER, …_SASL_PASSWORD and …_SASL_MECHANISM")
    return f"{where} takes the connection, but Kafka there does not let us in ({reason}): check {'; '.join(checks)}"


@dataclass(frozen=True)
class ClusterFacts:
    """The cluster's id and how many brokers it counts as live."""

    cluster_id: str
    brokers: int


def cluster_facts(options: Mapping[str, Any], seconds: float = ANSWER_SECONDS) -> ClusterFacts:
    """Asks the cluster who it is. Raises as `admin_client` does."""
    with admin_client(options, seconds) as client:
        found = client.describe_cluster()
    live = [broker for broker in found["brokers"] if not broker.get("is_fenced")]
    return ClusterFacts(str(found["cluster_id"]), len(live))


class _Overheard(logging.Handler):
    """Keeps why the first connection failed: the library logs it, but its exception names only the deadline."""

    _FAILED = re.compile(r"Bootstrap connection to \S+ failed: (.*?)(?: \(backoff .*)?$", re.DOTALL)

    reason: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # Later ones may only have run out of what was left of the time.
        if self.reason is None and (failed := self._FAILED.search(record.getMessage())):
            self.reason = failed[1].removeprefix("KafkaConnectionError: ")


@contextmanager
def _overhearing(logger: logging.Logger) -> Iterator[_Overheard]:
    handler, propagated, level = _Overheard(), logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.WARNING)  # the command silences the library: nothing would be overheard
    try:
        yield handler
    finally:
        logger.propagate = propagated
        logger.setLevel(level)
        logger.removeHandler(handler)
