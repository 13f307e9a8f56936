"""Errors that the operator reads: each carries one sentence and the exit code that goes with it.

The sentence says what happened, where, and the cure; the console prints it and nothing else (no traceback).
The codes are the `rollcall` command's documented ones.
"""

from __future__ import annotations


class RollcallError(Exception):
    """Foreseen, and not to be cured by this process: it ended itself; start it again once cured."""

    exit_code: int = 70


class CheckFailed(RollcallError):
    """Everything answered, but something is not as it must be: counts or a topic differ, lines refused."""

    exit_code = 1


class ConfigurationError(RollcallError):
    """Wrong usage or a wrong setting: nothing was tried, and trying again changes nothing."""

    exit_code = 2


class OutOfReach(RollcallError):
    """A server does not answer, or does not let us in: the same call may succeed later."""

    exit_code = 3
