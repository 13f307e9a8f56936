"""README.txt of a bundle: what is in it, and how to check it without Rollcall. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

from schemas.calendar import month_name
from schemas.report import Report
from stream_jobs.month_close.bundle.checks import checks
from stream_jobs.month_close.bundle.pack import MANIFEST
from stream_jobs.month_close.forms.render import Format
from stream_jobs.month_close.report.life import Revision

FILE = "README.txt"
FORMS: tuple[Format, ...] = ("pdf", "xlsx", "csv")
INDENT = "    "
"""Lines that begin so are commands, and no others do: together they are a script for `bash -e`."""


@dataclass(frozen=True)
class Contents:
    """What a bundle holds, as far as it differs from others."""

    report: Report
    revision: Revision
    file: str
    """The zip's usual name."""
    catalogue_sha256: str
    """Of the version as it is stored."""
    withheld: int = 0
    """How many names were taken out of the catalogue."""
    names: bool = False
    rebuilt: bool = False
    linked: bool = False
    """Whether names of one person were counted as one."""


def readme(contents: Contents) -> str:
    steps = [
        f"{number}. {title}\n\n{commands}" for number, (title, commands) in enumerate(
            checks(contents.report, contents.revision), start=1
        )
    ]  # fmt: skip
    parts = [
        "\n".join(_head(contents)), "\n".join(_members(contents)), "\n".join(_how(contents)), *steps,
        f'{INDENT}echo "everything holds"', "\n".join(_limits(contents)),
    ]  # fmt: skip
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _head(c: Contents) -> Iterator[str]:
    report, revision = c.report, c.revision
    yield "EVIDENCE OF A REPORT"
    yield ""
    yield f"Agreement  {report.agreement}"
    yield f"Partner    {report.partner.name}"
    yield f"To         {report.distributor.name}"
    yield f"Month      {month_name(report.month)} ({report.time_zone})"
    yield f"Report     revision {report.revision}, draft {report.draft}: {revision.state}"
    yield f"Reported   {report.total.reported}"
    if revision.approved_at is None:
        yield "Approved   by nobody: this is a draft"
    else:
        at = f"{revision.approved_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        yield f"Approved   {at} by {revision.approved_by} ({revision.approved_how})"
    yield ""
    if c.names:
        yield "THIS BUNDLE NAMES PEOPLE: names.csv says who the pseudonyms are. Treat it as personal data."
    else:
        yield "People who logged in stand here as pseudonyms: keyed hashes, 32 hexadecimal digits."


def _members(c: Contents) -> Iterator[str]:
    version = c.report.seal.catalogue_version
    members = {
        "report.json": "the report as it was approved, to the byte; its SHA-256 is what an approver signs",
        ", ".join(f".{form}" for form in FORMS): "the same, to read",
        "counts.csv": "what the seal counts: tenant, SKU, count, digest, and the file with the pseudonyms",
        "subjects/": "these files: everybody who is counted, one a line, sorted",
        "digests.txt": "tenant,SKU,count,digest: the lines whose SHA-256 is the seal's digest",
        "left_out.csv": "who logged in and is not counted, and why",
        "seal.json": "where in the log the month was closed, from which table and by which aliases it was counted",
        "findings.csv": "what the rules found, and who accepted it why",
        "ledger.jsonl": "everything that was done to the month's report: when, by whom, why",
        "catalogue.yaml": f"the rules: version {version}, "
        + ("without people's names and without comments" if c.withheld else "as stored"),
    }
    if c.linked:
        members["aliases.csv"] = "people with several names: the pseudonym that is counted, and each other one"
    if c.rebuilt:
        members["rebuilds.jsonl"] = "how the month was read again from the log: what was left out, and why"
    if c.revision.signature:
        members["approval/"] = "the statement that was signed, the signature, and whose keys were allowed"
    if c.names:
        members["names.csv"] = "who the pseudonyms are, counted or left out; an empty name is not known"
    members[MANIFEST] = "the SHA-256 of every other file"
    width = max(map(len, members)) + 2
    yield "WHAT IS IN IT"
    yield ""
    for name, what in members.items():
        yield f"{name:{width}}{what}"
    if c.withheld:
        yield ""
        yield f"Withheld are {c.withheld} names and patterns of the catalogue's exclusions, free users and aliases."
        yield f"As it is stored, version {version} has the SHA-256 {c.catalogue_sha256}."


def _how(c: Contents) -> Iterator[str]:
    tools = "unzip, find, sha256sum, sort, cut, wc, grep and sed"
    yield "HOW TO CHECK IT"
    yield ""
    yield f"Rollcall is not needed. bash and the usual tools are: {tools}" + (
        ",\nand OpenSSH's ssh-keygen." if c.revision.signature else "."
    )
    yield "Unpack it into a folder of its own, and go there:"
    yield ""
    yield f"  unzip {shlex.quote(c.file)} -d evidence && cd evidence"
    yield ""
    yield "All checks at once, which end with `everything holds`, or with the one that fails:"
    yield ""
    yield f"  grep '^{INDENT}' {FILE} | bash -e"
    yield ""
    yield "Or one after the other, in this order, in bash."


def _limits(c: Contents) -> Iterator[str]:
    revision, aliases = c.revision, ", aliases.csv" if c.linked else ""
    yield "WHAT THIS DOES NOT SHOW"
    yield ""
    yield f"Whoever can make a bundle can make another one. Ask the partner for the SHA-256 of {MANIFEST}"
    yield f"by another way, and compare it with that of `sha256sum {MANIFEST}`."
    if revision.signature:
        yield "The signature binds report.json and digests.txt to a key. Whose key it is, the approver can tell you:"
        yield "compare the fingerprint of `ssh-keygen -lf approval/allowed_signers`."
    elif revision.approved_how:
        yield "The approval is not signed: that it was given is the word of the partner's system."
    yield f"left_out.csv (but for its length), findings.csv, seal.json, catalogue.yaml{aliases} and what else"
    yield "the ledger says are bound by the manifest alone. Whether the brokers told of every login, only their own"
    yield "records show."
