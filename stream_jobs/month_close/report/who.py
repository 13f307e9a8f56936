"""Who runs this process, as far as the operating system proves it."""

from __future__ import annotations

import os


def account() -> str:
    """The name of the account that the process belongs to: of its real user id, never of a variable such as USER.

    `uid-N` where the system has no name for it, as in a container that runs under a number.
    """
    try:
        import pwd
    except ImportError:  # not on Windows
        import getpass

        return getpass.getuser()
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid-{number}"
