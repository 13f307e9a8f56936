"""Who may ask: users, passwords and whether they may only read."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.engine.errors import AUTHENTICATION_FAILED, REQUIRED_PASSWORD, QueryError


class AccountsError(Exception):
    """The accounts file cannot be used; the message says why and the cure."""


@dataclass(frozen=True)
class Account:
    user: str
    password: str = field(repr=False)
    readonly: bool


def load(file: Path) -> dict[str, Account]:
    """Reads `{"users": {NAME: {"password": TEXT, "readonly": BOOL}}}`."""
    try:
        users = json.loads(file.read_text(encoding="utf-8"))["users"]
        accounts = {n: Account(n, str(u["password"]), bool(u.get("readonly", False))) for n, u in users.items()}
    except OSError as error:
        raise AccountsError(f"the accounts file {file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AccountsError(
            f'the accounts file {file} is not {{"users": {{NAME: {{"password": …, "readonly": …}}}}}}: '
            "remove it and start the local stack again"
        ) from None
    if not accounts or not all(account.password for account in accounts.values()):
        raise AccountsError(f"the accounts file {file} has a user without password, or no user")
    return accounts


def authenticate(accounts: dict[str, Account], user: str | None, password: str) -> Account:
    """The account, if the password is its own; compares in constant time, whether the user exists or not."""
    if user is None:
        raise QueryError(REQUIRED_PASSWORD, "Give a user and a password (Basic, or X-ClickHouse-User and -Key)")
    account = accounts.get(user)
    expected = account.password if account is not None else "\0"
    if not hmac.compare_digest(expected.encode(), password.encode("utf-8", "surrogateescape")) or account is None:
        raise QueryError(
            AUTHENTICATION_FAILED,
            f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
        )
    return account
