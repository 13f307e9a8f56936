"""The `rollcall` command. Thin: it parses, calls, prints; each group of commands is loaded when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from console.output import notes
from infra.errors import RollcallError
from schemas.settings import SettingsError

USAGE, INTERRUPTED = 2, 130

app = App(
    name="rollcall",
    help="Counts who logged in this month, per SKU, exactly, and reports it on time.\n\n"
    "Exit codes: 0 done, 1 a check failed, 2 wrong usage or configuration, 3 a server is out of reach, "
    "70 the worker ended itself: start it again.",
    version_flags=["--version"],
)
for name, target in {
    "up": "console.stack:up", "down": "console.stack:down", "status": "console.stack:status",
    "settings": "console.setup:settings", "migrate": "console.setup:migrate", "catalogue": "console.setup:catalogue",
    "push": "console.push:push", "worker": "console.worker:worker",
    "counts": "console.month:counts", "close": "console.month:close", "verify": "console.month:verify",
    "explain": "console.month:explain", "quarantine": "console.quarantine:quarantine",
}.items():  # fmt: skip
    app.command(target, name=name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and ends the process with its exit code. No traceback for anything that is foreseen."""
    try:
        code = app(sys.argv[1:] if arguments is None else arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(f"{error}; `rollcall {' '.join(error.command_chain or ())} --help` tells more".replace("  ", " "), USAGE)
    except SettingsError as error:
        _fail(f"the settings cannot be used:\n{error}", USAGE)
    except RollcallError as error:
        _fail(str(error), error.exit_code)
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
