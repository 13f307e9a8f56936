"""The gateway's OpenAPI 3.1 document, made from the contracts."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from infra.version import own_version
from schemas.event import LoginEvent
from schemas.gateway import Answer, Problem

_REFERENCE: Final = "#/components/schemas/{model}"
_PROBLEMS: Final = {
    400: "The request cannot be read; nothing was taken.",
    401: "No key, or one that is not in force.",
    408: "The body came too slowly; nothing was taken.",
    413: "The body is too long, or the batch has too many events; nothing was taken.",
    415: "Not one of CloudEvents' modes in JSON; nothing was taken.",
    429: "The key has sent too many events; nothing was taken.",
    431: "The headers are longer than 64 KiB; nothing was taken.",
    500: "A fault of the gateway; whether the events were taken is not known.",
    503: "The events cannot be stored now, as much is in hand or connected as may be, or the keys are gone.",
}
_AGAIN: Final = {
    "Retry-After": {"description": "seconds", "required": True, "schema": {"type": "integer", "minimum": 1}}
}  # fmt: skip
_CHALLENGE: Final = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
_HEADERS: Final = {401: _CHALLENGE, 429: _AGAIN, 503: _AGAIN}
_ATTRIBUTES: Final = ("specversion", "id", "source", "type", "time", "subject")


def document() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(LoginEvent, "validation"), (Answer, "serialization"), (Problem, "serialization")], ref_template=_REFERENCE
    )
    event, data, answer, problem = (
        {"$ref": _REFERENCE.format(model=name)} for name in ("LoginEvent", "LoginData", "Answer", "Problem")
    )
    said = {"application/json": {"schema": answer}}
    responses: dict[str, Any] = {
        "202": {"description": "Every event is safe: Kafka, or the gateway's disk, has it.", "content": said},
        "207": {"description": "Some events are safe; `refusals` names the others.", "content": said},
        "403": {
            "description": "The key may speak for none of the events, or the client's certificate is another's.",
            "content": {**said, "application/problem+json": {"schema": problem}},
        },
        "422": {"description": "The contract accepts none of the events.", "content": said},
    }
    for status, meaning in _PROBLEMS.items():
        responses[str(status)] = {
            "description": meaning, "content": {"application/problem+json": {"schema": problem}},
            **({"headers": headers} if (headers := _HEADERS.get(status)) else {}),
        }  # fmt: skip
    asked = {
        code: {"description": meaning, "content": {"application/json": {"schema": {"type": "object"}}}}
        for code, meaning in (("200", "It is."), ("503", "It is not."))
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rollcall gateway", "version": own_version(),
            "description": "Login events as CloudEvents over HTTP. A request may be repeated: that changes no count.",
        },
        "security": [{"key": []}],
        "paths": {
            "/v1/events": {
                "post": {
                    "operationId": "sendEvents", "summary": "Send login events",
                    "description": "Structured, batched or binary mode: an event, an array of them, or an event's "
                    "`data` with its attributes in ce- headers.",
                    "parameters": [
                        {
                            "name": f"ce-{name}", "in": "header", "required": False, "schema": {"type": "string"},
                            "description": "binary mode only: percent-encoded UTF-8",
                        }
                        for name in _ATTRIBUTES
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/cloudevents+json": {"schema": event},
                            "application/cloudevents-batch+json": {"schema": {"type": "array", "items": event}},
                            "application/json": {"schema": data},
                        },
                    },
                    "responses": dict(sorted(responses.items())),
                }
            },
            "/live": {"get": _health("live", "The process answers", asked)},
            "/ready": {"get": _health("ready", "Events can be taken", asked)},
        },
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "rcg_<id>_<secret>"}},
        },
    }  # fmt: skip


def _health(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "security": [], "summary": summary, "responses": responses}
