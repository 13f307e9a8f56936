"""The gateway's settings: a group of `schemas.settings`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class GatewaySettings(BaseModel):
    """Where the gateway listens, what it lets in, and where it keeps what Kafka cannot take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        "/gateway", min_length=1, max_length=512, description="the source under which it reports of itself; one each"
    )
    host: str = Field("127.0.0.1", min_length=1, description="address that the gateway listens on")
    port: int = Field(8443, ge=0, le=65535, description="its port; 0: any free one")
    cert_file: Path | None = Field(None, description="PEM file of the gateway's certificate; left out: no TLS")
    key_file: Path | None = Field(None, description="PEM file of the certificate's key, not encrypted")
    client_ca_file: Path | None = Field(
        None, description="PEM file of the authority whose certificate every client must show; left out: none asked"
    )
    keys_file: Path | None = Field(None, description="file with the keys' hashes; left out: gateway-keys.json at home")
    spool: Path | None = Field(None, description="folder for what Kafka cannot take; left out: gateway-spool at home")
    spool_bytes: int = Field(1 << 30, ge=1 << 20, description="what the spool may hold; full, the gateway answers 503")
    kafka_seconds: float = Field(5.0, ge=1, description="without Kafka's answer for so long, events are spooled")
    body_bytes: int = Field(2 << 20, ge=1024, description="of one request's body at most")
    body_seconds: float = Field(20.0, gt=0, description="until a request's body must be there")
    header_seconds: float = Field(10.0, gt=0, description="until a request's headers must be there")
    batch_events: int = Field(2_000, ge=1, description="events in one request at most")
    waiting_bytes: int = Field(64 << 20, ge=1 << 20, description="bodies in hand, all requests together, at most")
    connections: int = Field(1_000, ge=1, description="connections at once; a further one is told to come back")
    rate: float = Field(5_000.0, gt=0, description="events a second of one key, where the key says nothing else")
    metrics_port: int = Field(9474, ge=0, le=65535, description="metrics and health, at metrics.host; 0: none")
