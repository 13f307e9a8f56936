"""The `rollcall` command. Thin: it parses, calls, prints; each group of commands is loaded when it is asked for."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from console.output import notes
from infra.errors import RollcallError
from schemas.settings import SettingsError

USAGE, INTERRUPTED = 2, 130
EXTRAS = (
    "install Rollcall with its extra `pipeline` (worker, close, ClickHouse), `gateway`, `sources` (polled brokers), or "
    "`local` (local stack)"
)

app = App(
    name="rollcall",
    help="Counts who logged in this month, per SKU, exactly, and reports it on time.\n\n"
    "Exit codes: 0 done, 1 a check failed, 2 wrong usage or configuration, 3 a server is out of reach, "
    "70 the worker ended itself: start it again.",
    version_flags=["--version"],
)
for target, summary in {
    "console.stack:up": "Start Kafka and the ClickHouse engine on this machine.",
    "console.stack:down": "Stop the local stack; the data stays.",
    "console.status:status": "Show what runs, rate, lag, the month so far, quarantine, what is due; --watch: live.",
    "console.settings:settings": "List every setting with its value and meaning.",
    "console.metrics:metrics": "What no worker knows, for Prometheus: lag, month, quarantine, reports.",
    "console.doctor:doctor": "Check an installation, and say what to mend.",
    "console.setup:migrate": "Create or bring up to date tables, topics and the first catalogue version.",
    "console.setup:catalogue": "What may be counted, and by which rules: check, apply, history.",
    "console.alias:alias": "Names of one person: import, propose, list, accept, refuse.",
    "console.push:push": "Push login events from files into Kafka.",
    "console.gateway:gateway": "Take login events over HTTP (CloudEvents), and send them to Kafka; its keys.",
    "console.source:source": "Brokers that are asked for their logins, or listened to: list, check, run, backfill.",
    "console.worker:worker": "Run the dedup job: Kafka in, ClickHouse out.",
    "console.keys:keys": "The pseudonym keys, each from a month on: show, add.",
    "console.subject:subject": "A person's rights: export, erase; who looked at names.",
    "console.month:counts": "Show the active users of a month per tenant and SKU.",
    "console.month:close": "Close a month: count it exactly, seal it, digest it.",
    "console.month:verify": "Hold a month's seals against their digests and the table.",
    "console.month:explain": "Show who is behind a number.",
    "console.report:report": "The report of a month: draft, show, approve, submit, correct.",
    "console.form:form": "A distributor's own XLSX form: check its placeholders, fill it.",
    "console.reconcile:reconcile": "Hold another count of a month against ours, and say why they differ.",
    "console.month_end:month_end": "Do what is due of every report: draft, remind, submit, tell what is overdue.",
    "console.rebuild:rebuild": "Read a month again from the log; show what changes, and put it in force if asked.",
    "console.quarantine:quarantine": "Events that were set aside: list, show, replay, waive, lift.",
}.items():
    app.command(target, name=target.rpartition(":")[2].replace("_", "-"), help=summary)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and ends the process with its exit code. No traceback for anything that is foreseen."""
    for library in ("clickhouse_connect", "urllib3", "kafka", "aiokafka"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # our sentence has it all
    try:
        code = app(sys.argv[1:] if arguments is None else arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command = " ".join(["rollcall", *(error.command_chain or ())])
        _fail(f"{str(error).rstrip('.')}; `{command} --help` tells more", USAGE)
    except SettingsError as error:
        _fail(f"the settings cannot be used:\n{error}", USAGE)
    except RollcallError as error:
        _fail(str(error), error.exit_code)
    except ImportError as error:
        if (error.name or "").partition(".")[0] in {"console", "infra", "producers", "schemas", "stream_jobs"}:
            raise
        _fail(f"this command needs {error.name}, which is not installed here: {EXTRAS}", USAGE)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str, code: int) -> None:
    notes.print(f"rollcall: {sentence}", markup=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
