"""Every way to speak to a broker, against a real one that listens in all four: both client libraries get in.

The local stack never listens so; this node is the test's own stand-in for a production cluster.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from infra.errors import OutOfReach
from infra.kafka.connection import aiokafka_options, cluster_facts, kafka_python_options
from infra.local.jars import classpath, jar_cache, load_lock
from infra.local.kafka import java_environment, java_runtime, new_cluster_id, render_properties, server_properties
from infra.local.ports import free_port, is_free
from infra.local.processes import BackgroundProcess
from infra.waiting import wait_until
from schemas.settings import KafkaSettings

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")

JAAS = "org.apache.kafka.common.security"
WAYS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True)
class Cluster:
    folder: Path
    ports: dict[str, int]

    def settings(self, security: Any, **changes: Any) -> KafkaSettings:
        """What an operator would set for this listener, with `changes`."""
        right: dict[str, Any] = {"bootstrap": f"127.0.0.1:{self.ports[security]}", "security": security}
        if "SSL" in security:
            right["ca_file"] = self.folder / "ca.pem"
        if security == "SSL":
            right |= {"cert_file": self.folder / "client.pem", "key_file": self.folder / "client.key"}
        if "SASL" in security:
            right |= {"sasl_user": "meter", "sasl_password": SecretStr("s3cret")}
        return KafkaSettings(**{**right, **changes})


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _certificates(folder: Path) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for authority in ("ca", "other-ca"):
        _openssl(folder, "req", "-x509", *key, "-subj", f"/CN={authority}", "-keyout", f"{authority}.key",
                 "-out", f"{authority}.pem")  # fmt: skip
    for name in ("server", "client"):
        _openssl(folder, "req", "-x509", *key, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                 "-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    (folder / "keystore.pem").write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("secure")
    _certificates(folder)
    made = Cluster(folder, {way: free_port() for way in ("PLAINTEXT", *WAYS)})
    properties = server_properties(made.ports["PLAINTEXT"], free_port())
    listeners = ",".join(f"{way}://127.0.0.1:{made.ports[way]}" for way in WAYS)
    for key in ("listeners", "advertised.listeners"):
        properties[key] = f"{properties[key]},{listeners}"
    properties["listener.security.protocol.map"] = ",".join(
        ["CONTROLLER:PLAINTEXT", *(f"{way}:{way}" for way in made.ports)]
    )
    properties |= {
        "ssl.keystore.type": "PEM", "ssl.keystore.location": "keystore.pem",
        "ssl.truststore.type": "PEM", "ssl.truststore.location": "ca.pem",
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
    }  # fmt: skip
    for way in ("sasl_plaintext", "sasl_ssl"):
        prefix = f"listener.name.{way}"
        properties[f"{prefix}.scram-sha-512.sasl.jaas.config"] = f"{JAAS}.scram.ScramLoginModule required;"
        properties[f"{prefix}.plain.sasl.jaas.config"] = (
            f'{JAAS}.plain.PlainLoginModule required user_meter="s3cret";'
        )
    (folder / "server.properties").write_text(render_properties(properties))
    jars = ":".join(map(str, classpath(load_lock(), jar_cache(), print)))
    java = [str(java_runtime()), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars]
    environment = java_environment(os.environ)
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "--cluster-id", new_cluster_id(), "--config",
         "server.properties", "--add-scram", "SCRAM-SHA-512=[name=meter,password=s3cret]"],
        cwd=folder, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    process = BackgroundProcess("Kafka", folder / "kafka.json", folder / "kafka.log", folder)
    process.start([*java, "kafka.Kafka", "server.properties"], environment)
    try:
        assert wait_until(lambda: not any(map(is_free, made.ports.values())), 60), process.tail(40)
        yield made
    finally:
        process.stop(30)


def _both_get_in(settings: KafkaSettings) -> None:
    facts = cluster_facts(kafka_python_options(settings))
    assert facts.brokers == 1

    async def ask() -> int:
        from aiokafka.admin import AIOKafkaAdminClient

        client = AIOKafkaAdminClient(**aiokafka_options(settings))
        await client.start()
        try:
            return len((await client.describe_cluster())["brokers"])
        finally:
            await client.close()

    assert asyncio.run(ask()) == 1


@pytest.mark.parametrize("security", ["PLAINTEXT", *WAYS])
def test_both_libraries_get_in(cluster: Cluster, security: str) -> None:
    _both_get_in(cluster.settings(security))


def test_plain_passwords_work_too(cluster: Cluster) -> None:
    _both_get_in(cluster.settings("SASL_SSL", sasl_mechanism="PLAIN"))


@pytest.mark.parametrize(
    ("security", "changes", "sentence"),
    [
        ("SASL_SSL", {"sasl_password": SecretStr("wrong")}, r"does not let us in.*_SASL_PASSWORD"),
        ("SASL_PLAINTEXT", {"sasl_user": "nobody"}, r"does not let us in.*ROLLCALL_KAFKA_SASL_USER"),
        ("SASL_SSL", {"sasl_mechanism": "SCRAM-SHA-256"}, r"does not let us in.*_SASL_MECHANISM"),
        ("SASL_SSL", {"ca_file": "other-ca.pem"}, r"certificate verify failed.*ROLLCALL_KAFKA_CA_FILE"),
        ("SSL", {"cert_file": None, "key_file": None}, r"certificate required.*_CERT_FILE"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    cluster: Cluster, security: str, changes: dict[str, Any], sentence: str
) -> None:
    if "ca_file" in changes:
        changes = {"ca_file": cluster.folder / changes["ca_file"]}
    with pytest.raises(OutOfReach, match=sentence):
        cluster_facts(kafka_python_options(cluster.settings(security, **changes)), seconds=5.0)


def test_tls_to_a_listener_without_it_is_told(cluster: Cluster) -> None:
    wrong = cluster.settings("SASL_SSL", bootstrap=f"127.0.0.1:{cluster.ports['PLAINTEXT']}")
    with pytest.raises(OutOfReach, match=r"does not let us in.*listener of the kind SASL_SSL"):
        cluster_facts(kafka_python_options(wrong), seconds=5.0)
