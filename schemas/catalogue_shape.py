"""What is not formed as a catalogue is: pydantic's errors as sentences of the operator's, each with its cure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from schemas.agreement import Submission
from schemas.catalogue_text import Fault, Path
from schemas.parts import ADDRESS, ID
from schemas.rules import COUNTRY, Rule

_SHOULD = re.compile(r"^[A-Z][a-z]+ should ")
"""How pydantic begins a sentence about a value."""


class _Kinds(NamedTuple):
    """A part of which there are kinds: the member that says which, and its values."""

    member: str
    values: list[str]


def _kinds(union: Any, member: str) -> _Kinds:
    models = get_args(get_args(union)[0])
    return _Kinds(member, [get_args(model.model_fields[member].annotation)[0] for model in models])


# By their place; pydantic puts the kind into the paths of its errors behind it.
_KINDS: dict[tuple[str, ...], _Kinds] = {
    ("rules",): _kinds(Rule, "kind"), ("agreements", "submission"): _kinds(Submission, "by"),
}  # fmt: skip
_PATTERNS = {
    ID: "is not an id; use letters, digits and . _ : + / - (up to 128)",
    ADDRESS: "is not an e-mail address; write it as name@company.example, without a display name",
    COUNTRY: "is not a country's code; write it as JP, or with a subdivision as DE-BY",
}


def shape_faults(error: ValidationError) -> Iterator[Fault]:
    for e in error.errors(include_url=False):
        path = _place(e["loc"])
        if e["type"] in ("union_tag_invalid", "union_tag_not_found"):
            yield _unknown_kind(path, e)
        else:
            yield path, _sentence(e)


def _place(loc: tuple[str | int, ...]) -> Path:
    """Where it stands in the document: without pydantic's tags of unions and marks of keys."""
    path: list[str | int] = []
    tagged = False
    for step in loc:
        if not tagged and isinstance(step, str) and path and _kind_of(tuple(path)):
            tagged = True
        elif step != "[key]":
            path.append(step)
            tagged = False
    return tuple(path)


def _kind_of(path: Path) -> _Kinds | None:
    """The kinds of the part at `path`, if it is one that has kinds."""
    names = tuple(step for step in path if isinstance(step, str))
    return _KINDS.get(names) if len(path) == len(names) + 1 else None


def _unknown_kind(path: Path, error: Any) -> Fault:
    kinds = _kind_of(path)
    assert kinds is not None, path
    known = ", ".join(kinds.values)
    if error["type"] == "union_tag_not_found":
        return (*path, kinds.member), f"is missing; add it, one of {known}"
    tag = error["ctx"]["tag"]
    near = difflib.get_close_matches(tag, kinds.values, 1)
    cure = f"did you mean {near[0]!r}?" if near else "choose one of them"
    return (*path, kinds.member), f"{tag!r} is none of {known}; {cure}"


def _sentence(error: Any) -> str:
    kind, given = error["type"], error["input"]
    if kind == "missing":
        return "is missing; add it"
    if kind == "extra_forbidden":
        return "there is no such part; mend the spelling or remove it"
    message = error["msg"].removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        message = _PATTERNS.get(error["ctx"]["pattern"], message)
    elif kind == "string_type":
        message += "; quote it if it is meant as text"
    message = _SHOULD.sub("cannot stand here; it should ", message)
    shown = "a mapping" if isinstance(given, dict) else "a list" if isinstance(given, list) else repr(given)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
    joined = f"{shown} {message}" if message.startswith(("is ", "cannot ")) else f"{shown}: {message}"
    return joined if "; " in message else f"{joined}; mend it"

