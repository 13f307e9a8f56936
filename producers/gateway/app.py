"""The ASGI application: one request in, its events to the intake, the answer when they are safe."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.metrics.server import Answer as Health
from producers.gateway.binding import Unreadable, unpack
from producers.gateway.intake import Intake, Unavailable
from producers.gateway.judge import Verdict, judge
from producers.gateway.keys import Denied, Grant, KeyRing
from producers.gateway.link import Link
from producers.gateway.meters import Meters
from producers.gateway.openapi import document
from producers.gateway.rate import Bucket
from producers.in_hand import InHand
from schemas.gateway_settings import GatewaySettings

CERTIFICATE: Final = "rollcall.certificate"
"""Member of the scope: the names that the client's certificate carries (a frozenset of text)."""
PATH: Final = "/v1/events"
BUSY_SECONDS: Final = 2
SPOOL_FULL_SECONDS: Final = 30
KEYS_GONE_SECONDS: Final = 30
_TITLES: Final = {
    400: "Unreadable", 401: "Not authorised", 403: "Not allowed", 404: "Not found", 405: "Method not allowed",
    413: "Too large", 415: "Unsupported format", 429: "Too many events", 500: "A fault", 503: "Come back later",
}  # fmt: skip


log = logging.getLogger("rollcall.gateway")


class Halt(Exception):
    """The request ends here, with this answer."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})


class _Gone(Exception):
    """The client hung up; nobody waits for an answer, and nothing was taken."""


def application(events: Events, meters: Meters) -> ASGIApp:
    """The routes; the one that is hot goes past the framework.

    `/live` and `/ready` stand here too, for balancers that ask the port that they send to.
    """

    def health(check: Callable[[], Health]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_: Request) -> Response:
            well, facts = check()
            # The rest of the facts is the operator's, who asks another port.
            shown = {name: value for name, value in facts.items() if isinstance(value, bool)}
            return JSONResponse(shown, 200 if well else 503, {"cache-control": "no-store"})

        return answer

    api = document()

    async def openapi(_: Request) -> Response:
        return JSONResponse(api)

    async def lost(_: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        detail = f"there is: POST {PATH}, GET /openapi.json, /live, /ready"
        headers = {"allow": "POST"} if status == 405 else {}
        return _problem(status, detail, headers)

    routes = Starlette(
        routes=[
            Route(PATH, events, methods=["POST"]),
            Route("/openapi.json", openapi),
            Route("/live", health(meters.live)),
            Route("/ready", health(meters.ready)),
        ],
        exception_handlers={404: lost, 405: lost},
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        hot = scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST"
        await (events if hot else routes)(scope, receive, send)

    return app


class Events:
    """POST of events. Every answer but 202 and 207 says that nothing was taken, and what to do."""

    def __init__(
        self, settings: GatewaySettings, ring: KeyRing, intake: Intake, link: Link, meters: Meters, hand: InHand
    ) -> None:
        self._settings, self._ring, self._intake, self._link, self._meters = settings, ring, intake, link, meters
        self._hand = hand
        self._buckets: dict[str, Bucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, held = time.perf_counter(), 0
        length = _length(scope)
        try:
            grant = self._grant(scope)
            bucket = self._bucket(grant)
            held = self._admit(length)
            self._meters.waiting_bytes += held
            body = await self._body(receive, length)
            with self._hand.held():
                response = await self._answer(scope, grant, bucket, body)
        except Halt as halt:
            headers = halt.headers
            if length is None or length > self._settings.body_bytes:
                headers["connection"] = "close"  # what is left of the body is not waited for
            response = _problem(halt.status, str(halt), headers)
        except _Gone:
            return
        except Exception:
            log.exception("a request could not be answered; its sender is told to send it again")
            response = _problem(500, "a fault of the gateway: send the events again, a repeat changes no count")
        finally:
            self._meters.waiting_bytes -= held
        self._meters.answered(response.status_code, begun)
        await response(scope, receive, send)

    def _grant(self, scope: Scope) -> Grant:
        found = [value for name, value in scope["headers"] if name == b"authorization"]
        try:
            token = found[0] if len(found) == 1 else None
            return self._ring.grant(token, scope.get(CERTIFICATE, ()), datetime.now(UTC))
        except Denied as denied:
            more = {
                401: {"www-authenticate": 'Bearer realm="rollcall"'}, 503: {"retry-after": str(KEYS_GONE_SECONDS)},
            }  # fmt: skip
            raise Halt(denied.status, str(denied), more.get(denied.status)) from None

    def _bucket(self, grant: Grant) -> Bucket:
        now, rate = time.monotonic(), grant.key.rate or self._settings.rate
        line = grant.key.line or grant.key.id  # a key and what replaced it share one rate
        bucket = self._buckets.get(line)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[line] = Bucket.full(rate, now)
        self._spare(grant, bucket)
        return bucket

    def _spare(self, grant: Grant, bucket: Bucket) -> None:
        if wait := bucket.wait(time.monotonic()):
            name, rate = grant.key.name, bucket.rate
            detail = f"this key ({name}) may send {rate:g} events a second: send again after Retry-After"
            raise Halt(429, detail, {"retry-after": str(math.ceil(wait))})

    def _admit(self, length: int | None) -> int:
        """Room for the body, in bytes of `waiting_bytes`; without a length, for the largest."""
        limit = self._settings.body_bytes
        if length is not None and length > limit:
            raise self._too_long(length)
        held = limit if length is None else length
        if self._meters.waiting_bytes + held > self._settings.waiting_bytes:
            raise Halt(
                503, "the gateway has as much in hand as it may hold: send again after Retry-After",
                {"retry-after": str(BUSY_SECONDS)},
            )  # fmt: skip
        return held

    async def _body(self, receive: Receive, length: int | None) -> bytes:
        """The whole body. How long it may take, the protocol sees to: then the client is gone for us."""
        parts, size, more = list[bytes](), 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._settings.body_bytes:
                raise self._too_long(None)
            more = message.get("more_body", False)
        if length is not None and size != length:
            raise Halt(400, f"content-length says {length} bytes, {size} came: nothing was taken, send it again")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_long(self, length: int | None) -> Halt:
        had = f"{length:,} bytes" if length is not None else "more"
        return Halt(413, f"the body is {had}, and {self._settings.body_bytes:,} are taken: send smaller batches")

    async def _answer(self, scope: Scope, grant: Grant, bucket: Bucket, body: bytes) -> Response:
        self._spare(grant, bucket)  # others may have taken it while the body came
        try:
            request = unpack(scope["headers"], body)
        except Unreadable as error:
            bucket.take(1)
            raise Halt(error.status, str(error)) from None
        if len(request.events) > (limit := self._settings.batch_events):
            count = len(request.events)
            raise Halt(413, f"the batch has {count:,} events, and {limit:,} are taken: send smaller batches")
        bucket.take(max(1, len(request.events)))
        verdict = judge(request, grant, self._link.max_event_bytes)
        stored = None
        if verdict.taken:
            try:
                stored = await self._intake.take(verdict.taken)
            except Unavailable as error:
                self._meters.unavailable(str(error))
                raise Halt(
                    503, "the events cannot be stored now: send them again after Retry-After",
                    {"retry-after": str(SPOOL_FULL_SECONDS)},
                ) from None  # fmt: skip
            self._meters.events(stored, "", len(verdict.taken))
            self._link.spoke_for |= verdict.sources
        if verdict.refused:
            for reason, count in Counter(event.reason for event in verdict.refused).items():
                self._meters.events("refused", reason, count)
        answer = {
            "accepted": len(verdict.taken), "refused": len(verdict.refused), "stored": stored,
            "refusals": [event.model_dump() for event in verdict.refused],
        }  # fmt: skip
        return _Json(msgspec.json.encode(answer), _status(verdict))


def _status(verdict: Verdict) -> int:
    """202: all are safe; 207: some are; 403 or 422: none is."""
    if not verdict.refused:
        return 202
    if verdict.taken:
        return 207
    return 403 if all(event.reason == "forbidden" for event in verdict.refused) else 422


def _length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return None


class _Json(Response):
    media_type = "application/json"


class _Problem(Response):
    media_type = "application/problem+json"


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    body: dict[str, Any] = {"title": _TITLES.get(status, "Not taken"), "status": status, "detail": detail}
    return _Problem(msgspec.json.encode(body), status, dict(headers or {}))
