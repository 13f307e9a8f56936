"""The commands that check a bundle, for bash and the tools of any Linux; a command is a line of four spaces. Pure.

They read report.json and ledger.jsonl as text, in the order of the members that schemas/report.py and
schemas/ledger.py have. None of them writes a file.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC
from string import Template

from schemas.report import Report
from stream_jobs.month_close.bundle.pack import MANIFEST
from stream_jobs.month_close.report.life import Revision
from stream_jobs.month_close.report.signature import NAMESPACE


class _Commands(Template):
    """With @name, since the shell has the dollar sign."""

    delimiter = "@"


_FILES = _Commands(r"""
    export LC_ALL=C
    fail() { echo "FAILED: $*" >&2; return 1; }
    sha256sum --strict --quiet -c @manifest
    found=$(find . -type f ! -path ./@manifest -exec sha256sum {} + | sort -k 2 | sha256sum)
    [ "$found" = "$(sha256sum < @manifest)" ] || fail "@manifest does not list exactly these files"
""")
_SETS = r"""
    { read -r columns
      while IFS=, read -r tenant sku count digest file; do
        sort -cu "$file" || fail "$file is not sorted, or has somebody twice"
        [ "$(wc -l < "$file")" -eq "$count" ] || fail "$file does not have the $count of $tenant $sku"
        [ "$(sha256sum < "$file")" = "$digest  -" ] || fail "$file does not give the digest of $tenant $sku"
      done
    } < counts.csv
"""
_SEAL = r"""
    counts=$({ read -r columns; cut -d, -f1-4; } < counts.csv | sort | sha256sum)
    [ "$counts" = "$(sha256sum < digests.txt)" ] || fail "counts.csv has other counts than digests.txt"
    seal=$(sha256sum < digests.txt | cut -d' ' -f1)
    grep -qF '"digest":"'$seal'"' report.json || fail "the report is not made from this seal"
"""
_NUMBERS = r"""
    string='"([^"\\]|\\.)*"' users='"measured":[0-9]+,"excluded":[0-9]+,"trial":[0-9]+,"free":[0-9]+'
    line=$users',"adjusted":-?[0-9]+,"shortfall":[0-9]+,"reported":-?[0-9]+'
    line=$line',"tenant":"[^"]*","tenant_name":'$string',"sku":"[^"]*"'
    lines=$(grep -aoE "$line" report.json | sed -E 's/"tenant_name":'"$string"',//; s/"[a-z]+"://g; s/"//g')
    total=0 left_out=0 counted=
    while IFS=, read -r measured excluded trial free adjusted shortfall reported tenant sku; do
      [ -n "$measured" ] || continue
      count=$((measured - excluded - trial - free))
      [ $((count + adjusted + shortfall)) -eq "$reported" ] || fail "$tenant $sku does not add up"
      [ "$count" -eq 0 ] || counted+="$tenant,$sku,$count"$'\n'
      total=$((total + reported)) left_out=$((left_out + excluded + trial + free))
    done <<< "$lines"
    counted=$(printf %s "$counted" | sort)
    [ "$counted" = "$(cut -d, -f1-3 digests.txt | sort)" ] || fail "the report has other counts than the seal"
    [ "$(wc -l < left_out.csv)" -eq $((left_out + 1)) ] || fail "left_out.csv has others than the report"
    grep -qE '"total":\{[^{}]*"reported":'"$total}" report.json || fail "the lines do not sum up to the total"
"""
_DRAFTED = _Commands(r"""
    report=$(sha256sum < report.json | cut -d' ' -f1)
    drafted='"action":"drafted",@place"report":"'$report'","seal_revision":@seal,"seal_digest":"'$seal'"'
    grep -qF "$drafted" ledger.jsonl || fail "the ledger has no such draft"
""")
_APPROVED = _Commands(r"""
    approved='"action":"approved",@place"report":"'$report'","how":"@how"'
    grep -qF "$approved" ledger.jsonl || fail "the ledger has no such approval"
""")
_SIGNED = _Commands(r"""
    grep -qx "report $report" approval/statement || fail "another report was signed"
    grep -qx "seal $seal" approval/statement || fail "another seal was signed"
    @verify -I @signer \
      -f approval/allowed_signers -s approval/statement.sig < approval/statement
""")


def checks(report: Report, revision: Revision) -> Iterator[tuple[str, str]]:
    """Each with its title, in their order; every one builds on those before."""
    yield "No file is changed, missing or added.", _filled(_FILES, manifest=MANIFEST)
    yield "Of each tenant and SKU nobody is counted twice; count and digest are those in counts.csv.", _filled(_SETS)
    yield "The counts are the seal's, and the report is made from it.", _filled(_SEAL)
    yield (
        "The report counts what the seal does; its lines add up: measured - excluded - trial - free + adjusted\n"
        "   + shortfall = reported.", _filled(_NUMBERS)
    )  # fmt: skip
    place = f'"revision":{report.revision},"draft":{report.draft},'
    yield "The ledger has this report, of this seal.", _filled(_DRAFTED, place=place, seal=str(report.seal.revision))
    if revision.approved_how:
        yield "The ledger has its approval.", _filled(_APPROVED, place=place, how=revision.approved_how)
    if revision.signature:
        yield f"{revision.approved_by} has signed for this report and this seal.", _signed(revision)


def _signed(revision: Revision) -> str:
    """A key that is allowed for a time only is asked about the time of the approval."""
    verify = f"ssh-keygen -Y verify -n {NAMESPACE}"
    if revision.approved_at is not None and any("valid-" in line for line in revision.allowed_signers):
        verify = f"TZ=UTC0 {verify} -O verify-time={revision.approved_at.astimezone(UTC):%Y%m%d%H%M%S}"
    return _filled(_SIGNED, verify=verify, signer=shlex.quote(revision.approved_by))


def _filled(commands: str | _Commands, **parts: str) -> str:
    text = commands if isinstance(commands, str) else commands.substitute(parts)
    return text.strip("\n")
