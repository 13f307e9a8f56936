"""The local node's settings: loopback only, nothing made by use, nothing of the user's Java."""

from __future__ import annotations

import re

from infra.kafka.topic_definitions import MAX_QUARANTINE_BYTES
from infra.local.kafka import java_environment, new_cluster_id, render_properties, server_properties


def test_every_address_is_loopback() -> None:
    properties = server_properties(19092, 40001)
    addresses = re.findall(r"[\w.]+:\d+", " ".join(map(str, properties.values())))
    assert {address.split(":")[0] for address in addresses} == {"127.0.0.1"}
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:40001"


def test_topics_are_not_made_by_use() -> None:
    assert server_properties(1, 2)["auto.create.topics.enable"] == "false"


def test_the_node_takes_what_its_topics_take() -> None:
    assert int(server_properties(1, 2)["message.max.bytes"]) >= MAX_QUARANTINE_BYTES


def test_offsets_outlive_a_quarter_without_a_worker() -> None:
    assert int(server_properties(1, 2)["offsets.retention.minutes"]) > 92 * 24 * 60


def test_properties_are_one_a_line() -> None:
    lines = render_properties({"a.b": 1, "c": "x=y"}).splitlines()
    assert lines[1:] == ["a.b=1", "c=x=y"]


def test_a_cluster_id_is_a_kafka_uuid() -> None:
    ids = {new_cluster_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", i) for i in ids)


def test_the_users_java_does_not_reach_in() -> None:
    clean = java_environment({"PATH": "/bin", "JAVA_HOME": "/old", "JAVA_TOOL_OPTIONS": "-Xmx1m", "CLASSPATH": "x"})
    assert clean == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}
