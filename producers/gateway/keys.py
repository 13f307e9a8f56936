"""Keys: who may send, and for whom. The file holds hashes; it is read again when it changes, without a restart.

A token is `rcg_<id>_<secret>`: the id finds the key, the secret (256 random bits, so that a plain SHA-256 hides it)
proves it. Comparing takes the same time whatever is wrong.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from infra.errors import ConfigurationError
from producers.gateway.spool import sync_folder
from schemas.gateway import GatewayKey, GatewayKeys

LOOK_SECONDS: Final = 1.0
_TOKEN: Final = re.compile(r"rcg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY: Final = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
log = logging.getLogger("rollcall.gateway")


class Denied(Exception):
    """No right to send anything: 401 for who it is, 403 for what it lacks, 503 where nobody can tell; the sentence is
    for the sender."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key in force may speak for."""

    key: GatewayKey
    sources: frozenset[str] = field(init=False)
    prefixes: tuple[str, ...] = field(init=False)
    tenants: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        exact = frozenset(source for source in self.key.sources if not source.endswith("*"))
        object.__setattr__(self, "sources", exact)
        object.__setattr__(self, "prefixes", tuple(s[:-1] for s in self.key.sources if s.endswith("*")))
        object.__setattr__(self, "tenants", frozenset(self.key.tenants))

    def may(self, source: str, tenant: str | None) -> tuple[str, str] | None:
        if source not in self.sources and not source.startswith(self.prefixes):
            return "/source", (
                f"this key ({self.key.name}) may not speak for this source; it may for {_few(self.key.sources)}. Send "
                f"with that source's key, or let the gateway's operator add one"
            )
        if "*" in self.tenants or tenant in self.tenants:
            return None
        if tenant is None:
            return "/data/tenant", (
                f"this key ({self.key.name}) speaks for certain tenants only, and the event names none: name its "
                f"tenant in data.tenant"
            )
        return "/data/tenant", (
            f"this key ({self.key.name}) may not speak for this tenant; it may for {_few(self.key.tenants)}"
        )


class KeyRing:
    """The keys of a file as it stands now, looked at again every LOOK_SECONDS, and for a key that is not known.

    A file that cannot be read leaves the keys as they were, with the reason in `fault`. One that is not there leaves
    none in force: senders are told to come back, since it may have been moved by mistake.
    """

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self.file, self._clock = file, clock
        self.fault: str | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._looked = float("-inf")
        self._grants: dict[str, Grant] = {}
        self._gone = False

    def in_force(self, now: datetime) -> int:
        """How many keys somebody could send with."""
        self._look()
        return sum(
            key.revoked is None and (key.valid_until is None or now < key.valid_until)
            for key in (grant.key for grant in self._grants.values())
        )  # fmt: skip

    def grant(self, authorization: bytes | None, certificate: Iterable[str], now: datetime) -> Grant:
        """Whom a request's Authorization header stands for. Raises Denied."""
        self._look()
        scheme, _, token = (authorization or b"").decode("latin-1").partition(" ")
        found = _TOKEN.fullmatch(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise Denied(401, "no key: send `Authorization: Bearer rcg_…`; the gateway's operator makes one for you")
        if found[1] not in self._grants:
            self._look(at_once=True)
        if self._gone:
            raise Denied(503, "the gateway has no keys for now: send again after Retry-After")
        grant = self._grants.get(found[1])
        hashed = hashlib.sha256(found[2].encode()).hexdigest()
        if not hmac.compare_digest(hashed, grant.key.sha256 if grant else _NOBODY) or grant is None:
            raise Denied(401, "this key is not known here: ask the gateway's operator for one")
        key = grant.key
        if key.revoked is not None:
            raise Denied(401, f"this key ({key.name}) was revoked: ask the gateway's operator for another")
        if key.valid_until is not None and now >= key.valid_until:
            raise Denied(401, f"this key ({key.name}) was replaced and is no longer valid: use the new one")
        if key.certificate is not None and key.certificate not in certificate:
            raise Denied(403, f"this key ({key.name}) needs the client certificate of {key.certificate}: show it")
        return grant

    def _look(self, at_once: bool = False) -> None:
        if not at_once and self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        try:
            found = self.file.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._grants = {key.id: Grant(key) for key in load(self.file).keys}
                self._stamp = stamp
            self.fault, self._gone = None, False
        except FileNotFoundError:
            if self._grants:
                log.error("the file of keys %s is gone: nobody can send until it is back", self.file)
            self._grants, self._stamp, self._gone = {}, None, True
            self.fault = f"there is no file of keys {self.file}: `rollcall gateway key add` makes it"
        except (OSError, ConfigurationError) as error:
            self.fault = str(error)


def load(file: Path) -> GatewayKeys:
    """The keys of a file; none if there is no file. Raises ConfigurationError."""
    try:
        return GatewayKeys.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return GatewayKeys()
    except OSError as error:
        fault = f"the file of keys {file} cannot be read ({error.strerror}): mend its permissions"
        raise ConfigurationError(fault) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigurationError(
            f"the file of keys {file}: {place}: {first['msg']}; restore it, or remove it and add the keys anew"
        ) from None


def add(
    file: Path, name: str, sources: tuple[str, ...], tenants: tuple[str, ...], now: datetime, *,
    rate: float | None = None, certificate: str | None = None,
) -> tuple[GatewayKey, str]:  # fmt: skip
    """A new key, and its token, which is shown this once. Raises ConfigurationError."""
    if not name.strip() or len(name) > 100 or not sources or not tenants or not all((*sources, *tenants)):
        raise ConfigurationError("a key has a name of 1 to 100 characters, at least one --source and one --tenant")
    if rate is not None and rate <= 0:
        raise ConfigurationError(f"--rate {rate:g}: events a second, more than 0")
    key, token = _made(name, sources, tenants, now, rate, certificate)
    with _changing(file) as keys:
        _store(file, (*keys, key))
    return key, token


def rotate(file: Path, id: str, overlap: timedelta, now: datetime) -> tuple[GatewayKey, str]:
    """A new key with an old one's rights; the old one is good for `overlap` more. Raises ConfigurationError."""
    with _changing(file) as keys:
        old = _found(file, keys, id)
        if old.revoked is not None:
            raise ConfigurationError(f"key {id} ({old.name}) is revoked: add a new one in its place")
        new, token = _made(
            old.name, old.sources, old.tenants, now, old.rate, old.certificate, line=old.line or old.id
        )  # fmt: skip
        until = min(now + overlap, old.valid_until or datetime.max.replace(tzinfo=UTC))
        _store(file, (*_changed(keys, old, valid_until=until), new))
    return new, token


def revoke(file: Path, id: str, now: datetime) -> GatewayKey:
    """Ends a key at once; safe to repeat. Raises ConfigurationError."""
    with _changing(file) as keys:
        old = _found(file, keys, id)
        if old.revoked is None:
            _store(file, _changed(keys, old, revoked=now))
    return old


def _made(
    name: str, sources: tuple[str, ...], tenants: tuple[str, ...], now: datetime, rate: float | None,
    certificate: str | None, line: str | None = None,
) -> tuple[GatewayKey, str]:  # fmt: skip
    secret = secrets.token_urlsafe(32)
    key = GatewayKey(
        id=secrets.token_hex(6), name=name, sha256=hashlib.sha256(secret.encode()).hexdigest(), sources=sources,
        tenants=tenants, rate=rate, certificate=certificate, line=line, created=now,
    )  # fmt: skip
    return key, f"rcg_{key.id}_{secret}"


def _found(file: Path, keys: tuple[GatewayKey, ...], id: str) -> GatewayKey:
    for key in keys:
        if key.id == id:
            return key
    raise ConfigurationError(f"there is no key {id} in {file}: `rollcall gateway key list` shows the ids")


def _changed(keys: tuple[GatewayKey, ...], old: GatewayKey, **update: datetime) -> tuple[GatewayKey, ...]:
    return tuple(key.model_copy(update=update) if key is old else key for key in keys)


@contextmanager
def _changing(file: Path) -> Iterator[tuple[GatewayKey, ...]]:
    """The keys, while nobody else changes them."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield load(file).keys
    except OSError as error:
        raise ConfigurationError(
            f"the file of keys {file} cannot be written ({error.strerror}): make its folder one that you may write to"
        ) from None


def _store(file: Path, keys: tuple[GatewayKey, ...]) -> None:
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(GatewayKeys(keys=keys).model_dump_json(indent=2, exclude_none=True) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
    sync_folder(file.parent)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
