"""Settings: one place, every error at once.

Read from `ROLLCALL_…` environment variables, then from `rollcall.toml` in the working folder (or the file
that `ROLLCALL_CONFIG` names), then from the defaults below, which reach the local stack.
`ROLLCALL_KAFKA_BOOTSTRAP` in the environment is `bootstrap` under `[kafka]` in the file.
"""

from __future__ import annotations

import difflib
import os
import re
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from schemas.gateway_settings import GatewaySettings

PREFIX = "ROLLCALL_"
CONFIG_VARIABLE = "ROLLCALL_CONFIG"


class SettingsError(Exception):
    """The settings cannot be used; the message lists every fault with its setting, value and cure."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Group):
    """Where the log is and what its topics must look like."""

    bootstrap: str = Field("127.0.0.1:19092", description="brokers to ask first: HOST:PORT[,HOST:PORT…]")
    topic: str = Field("logins", pattern=r"^[A-Za-z0-9._-]{1,200}$", description="the topic of login events")
    partitions: int = Field(4, ge=1, le=10_000, description="partitions of `logins`; `migrate` adds, never removes")
    replication: int = Field(1, ge=1, le=9, description="replicas of each partition")
    retention_days: int = Field(396, ge=32, description="how long `logins` is kept: how far a rebuild reaches")
    group: str = Field("rollcall", min_length=1, description="consumer group of the dedup job, without generation")
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how the brokers are spoken to"
    )
    ca_file: Path | None = Field(None, description="PEM file of the authorities that sign the brokers")
    cert_file: Path | None = Field(None, description="PEM file of the client's certificate")
    key_file: Path | None = Field(None, description="PEM file of the client's key")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="how the account proves itself, with SASL"
    )
    sasl_user: str | None = Field(None, description="the account, with SASL")
    sasl_password: SecretStr | None = Field(None, description="its password")

    @property
    def quarantine_topic(self) -> str:
        return f"{self.topic}.quarantine"

    @field_validator("bootstrap")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for address in value.split(","):
            if not re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", address.strip()):
                raise ValueError(f"{address.strip()!r} is not HOST:PORT")
        return value


class ClickHouseSettings(_Group):
    """Where the counts are stored."""

    url: AnyHttpUrl = Field(AnyHttpUrl("http://127.0.0.1:18123"), description="ClickHouse's HTTP(S) interface")
    database: str = Field("rollcall", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="letters, digits and _")
    user: str = Field("rollcall", min_length=1, description="the account that reads and writes")
    password: SecretStr | None = Field(None, description="left out: the local stack's, from its home")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signs the server")
    cert_file: Path | None = Field(None, description="PEM file of the client's certificate")
    key_file: Path | None = Field(None, description="PEM file of the client's key")
    cluster: str | None = Field(None, description="name of the replicated cluster; left out: one server")
    timeout_seconds: float = Field(300.0, gt=0, description="how long one query may take")


class WorkerSettings(_Group):
    """How the dedup job reads and stores."""

    future_tolerance_seconds: float = Field(
        600.0, ge=0, description="how far past its append time an event's time may lie (clock skew)"
    )
    floor: date = Field(date(2000, 1, 1), description="events of earlier days (UTC) are quarantined")
    cache_entries: int = Field(1_000_000, ge=1_000, description="rows remembered to save inserts")
    insert_retry_seconds: float = Field(180.0, gt=0, description="how long a failing insert is tried again")
    stuck_seconds: float = Field(60.0, ge=1, description="no progress for so long is told as stuck (health, metrics)")
    stall_seconds: float = Field(300.0, ge=5, description="no progress for so long ends the worker")
    session_seconds: float = Field(20.0, ge=6, le=40, description="Kafka's session time-out")
    max_poll_records: int = Field(40_000, ge=1, description="records of one partition in one batch")
    refused_controls: str = Field(
        "", pattern=r"^([0-9]+:[0-9]+(,[0-9]+:[0-9]+)*)?$",
        description="control records to quarantine, as partition:offset with commas: forged ones stop the worker",
    )
    quarantine_ratio: float = Field(0.5, gt=0, le=1, description="a source's bad share that stops the worker")
    quarantine_sample: int = Field(1_000, ge=1, description="events of a source before its share is judged")

    @field_validator("floor")
    @classmethod
    def _representable(cls, value: date) -> date:
        if value < date(1970, 1, 2):  # which is in no month before 1970-01 in any zone
            raise ValueError("is before 1970-01-02, and ClickHouse's Date holds no month before 1970-01")
        return value


class MetricsSettings(_Group):
    """Where a worker serves metrics and health. The n-th worker of a machine (its seat, from 0) adds n to the port."""

    host: str = Field("127.0.0.1", min_length=1, description="address that workers serve metrics and health on")
    port: int = Field(9464, ge=0, le=65535, description="of a machine's first worker, the next has one more; 0: none")


class LogSettings(_Group):
    """How a worker says what it does, on standard error."""

    format: Literal["text", "json"] = Field("text", description="lines for people, or a JSON object a line")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is said")


class CloseSettings(_Group):
    deadline_seconds: float = Field(300.0, gt=0, description="how long a close waits for the dedup job")


class SmtpSettings(_Group):
    """The server that reports and reminders are mailed through."""

    host: str | None = Field(None, description="left out: nothing is mailed")
    port: int = Field(587, ge=1, le=65535, description="of the mail server")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="`none` for loopback only")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signs the server")
    user: str | None = Field(None, description="the account, where the server asks for one")
    password: SecretStr | None = Field(None, description="its password")
    sender: str = Field("rollcall@localhost", description="address that mail comes from")


class SubmitSettings(_Group):
    """Secrets of what is sent; the addresses stand in the agreements."""

    secret: SecretStr | None = Field(None, description="signs requests (Standard Webhooks): whsec_ and base64")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signs the receivers")
    proxy: AnyHttpUrl | None = Field(None, description="proxy that submissions by https and webhooks go through")
    ssh_key_file: Path | None = Field(None, description="private key for SFTP, without a pass phrase")
    timeout_seconds: float = Field(60.0, gt=0, description="how long one attempt may take")


class LocalSettings(_Group):
    """The local stack's ports; its addresses are always loopback."""

    kafka_port: int = Field(19092, ge=1024, le=65535, description="a free port on this machine")
    clickhouse_port: int = Field(18123, ge=1024, le=65535, description="a free port on this machine")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1, extra="forbid", frozen=True,
        toml_file="rollcall.toml",
    )

    home: Path = Field(Path(".rollcall"), description="where the local stack, its secrets and reports live")
    catalogue: Path = Field(Path("catalogue.yaml"), description="the catalogue file that `migrate` starts from")
    key: SecretStr | None = Field(None, description="the pseudonym keys: 64 hex digits; later ones: , YYYY-MM and 64")
    key_file: Path | None = Field(None, description="file with the pseudonym keys, a line each; left out: the local's")
    key_command: str | None = Field(None, description="program and arguments that print the pseudonym keys")
    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    worker: WorkerSettings = WorkerSettings()
    gateway: GatewaySettings = GatewaySettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    close: CloseSettings = CloseSettings()
    smtp: SmtpSettings = SmtpSettings()
    submit: SubmitSettings = SubmitSettings()
    local: LocalSettings = LocalSettings()

    @model_validator(mode="before")
    @classmethod
    def _local_addresses(cls, given: Any) -> Any:
        """Addresses that are not given are the local stack's, whatever its ports are."""
        local = given.get("local") or {}
        if not isinstance(local, dict):
            return given
        for group, name, address, port in (
            ("kafka", "bootstrap", "127.0.0.1:{}", local.get("kafka_port")),
            ("clickhouse", "url", "http://127.0.0.1:{}", local.get("clickhouse_port")),
        ):
            part = given.get(group) or {}
            if port is not None and isinstance(part, dict) and name not in part:
                given = {**given, group: {**part, name: address.format(port)}}
        return given

    @property
    def secrets(self) -> Path:
        """Folder of the local stack's generated secrets (mode 0700)."""
        return self.home / "secrets"

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = Path(os.environ.get(CONFIG_VARIABLE, "rollcall.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


def setting_names() -> dict[str, Any]:
    """Every setting by its variable, with its field: `ROLLCALL_KAFKA_BOOTSTRAP` and so on."""
    names: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            names |= {f"{PREFIX}{name}_{inner}".upper(): f for inner, f in group.model_fields.items()}
        else:
            names[f"{PREFIX}{name}".upper()] = field
    return names


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; `overrides` win over everything.

    Raises SettingsError that lists every fault at once: a wrong value, an unknown variable, a broken file.
    """
    faults = _unknown_variables()
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        faults.append(f"{CONFIG_VARIABLE}={config}: there is no such file; name an existing one or unset it")
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        faults += [_sentence(e) for e in error.errors() if not _told_as_variable(e)]
    except ValueError as error:  # the TOML file itself
        faults.append(f"{config or 'rollcall.toml'}: {error}")
    else:
        if not faults:
            return settings
    raise SettingsError("\n".join(faults))


def _unknown_variables() -> list[str]:
    known = setting_names()
    faults = []
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known and variable != CONFIG_VARIABLE:
            near = difflib.get_close_matches(variable, known, 1)
            cure = f"did you mean {near[0]}?" if near else "remove it; `rollcall settings` lists all"
            faults.append(f"{variable}: there is no such setting; {cure}")
    return faults


def _told_as_variable(error: Any) -> bool:
    """Whether `_unknown_variables` has told of it: the fault is in the name, and the environment has that name."""
    return error["type"] == "extra_forbidden" and PREFIX + "_".join(map(str, error["loc"])).upper() in os.environ


def _sentence(error: Any) -> str:
    path = [str(part) for part in error["loc"]]
    variable = PREFIX + "_".join(path).upper()
    field = setting_names().get(variable)
    if field is None and error["type"] == "extra_forbidden":
        # A variable of the environment is told of by _unknown_variables; this is a key of the file.
        near = difflib.get_close_matches(variable, setting_names(), 1)
        return f"{'.'.join(path)}: there is no such setting" + (f"; did you mean {_dotted(near[0])}?" if near else "")
    secret = field is not None and SecretStr in (field.annotation, *get_args(field.annotation))
    # A fault of a whole group would show the secrets in it.
    value = "(secret)" if secret else repr(error["input"]) if field is not None else "(not shown)"
    cure = _cure(field) if field is not None else "see `rollcall settings`"
    return f"{'.'.join(path)} = {value}: {error['msg']}; set {variable} or {'.'.join(path)} in rollcall.toml: {cure}"


def _dotted(variable: str) -> str:
    for name, field in Settings.model_fields.items():
        if get_origin(field.annotation) is None and variable.startswith(f"{PREFIX}{name.upper()}_"):
            return f"{name}.{variable.removeprefix(f'{PREFIX}{name.upper()}_').lower()}"
    return variable.removeprefix(PREFIX).lower()


def _cure(field: Any) -> str:
    what = field.description or "see the documentation"
    return f"{what} (default: {field.default})"
