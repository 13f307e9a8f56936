"""One set of settings for both client libraries, in all four ways to speak to a broker."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from infra.errors import ConfigurationError, OutOfReach
from infra.kafka.connection import admin_client, aiokafka_options, kafka_python_options
from schemas.settings import KafkaSettings

BOTH = pytest.mark.parametrize("options", [kafka_python_options, aiokafka_options])
Options = Callable[[KafkaSettings], dict[str, Any]]
ACCOUNT: dict[str, Any] = {"sasl_user": "meter", "sasl_password": SecretStr("s3cret")}


@BOTH
def test_plaintext_needs_addresses_only(options: Options) -> None:
    assert options(KafkaSettings(bootstrap="a:1, b:2")) == {
        "bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT",
    }  # fmt: skip


@BOTH
def test_tls_checks_certificate_and_host_name(options: Options) -> None:
    made = options(KafkaSettings(security="SSL"))
    assert made["security_protocol"] == "SSL"
    assert made["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert made["ssl_context"].check_hostname
    assert "sasl_mechanism" not in made


@BOTH
@pytest.mark.parametrize("security", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_takes_the_account(options: Options, security: Any) -> None:
    made = options(KafkaSettings(security=security, sasl_mechanism="SCRAM-SHA-256", **ACCOUNT))
    assert made["sasl_mechanism"] == "SCRAM-SHA-256"
    assert (made["sasl_plain_username"], made["sasl_plain_password"]) == ("meter", "s3cret")
    assert ("ssl_context" in made) == (security == "SASL_SSL")


@pytest.mark.parametrize("left_out", ["sasl_user", "sasl_password"])
def test_sasl_without_an_account_is_refused(left_out: str) -> None:
    account = {key: value for key, value in ACCOUNT.items() if key != left_out}
    with pytest.raises(ConfigurationError, match="ROLLCALL_KAFKA_SASL_USER and ROLLCALL_KAFKA_SASL_PASSWORD"):
        kafka_python_options(KafkaSettings(security="SASL_SSL", **account))


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    for fault, setting in [
        ({"ca_file": tmp_path / "none.pem"}, "ROLLCALL_KAFKA_CA_FILE"),
        ({"ca_file": rubbish}, "ROLLCALL_KAFKA_CA_FILE"),
        ({"cert_file": rubbish}, "ROLLCALL_KAFKA_CERT_FILE"),
        ({"cert_file": tmp_path / "none.pem"}, "ROLLCALL_KAFKA_CERT_FILE"),
        ({"key_file": rubbish}, "ROLLCALL_KAFKA_KEY_FILE"),
    ]:
        with pytest.raises(ConfigurationError, match=setting):
            kafka_python_options(KafkaSettings(security="SSL", **fault))  # type: ignore[arg-type]


def test_a_broker_that_is_not_there_is_named_at_once() -> None:
    with socket.socket() as taken:  # bound but not listening: nobody else takes the port, and it refuses
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(OutOfReach, match=f"{address} does not answer.*refused.*rollcall up.*BOOTSTRAP"),
            admin_client(kafka_python_options(KafkaSettings(bootstrap=address))),
        ):
            pytest.fail("no client without a broker")
