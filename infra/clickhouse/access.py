"""Who may do what, on a server that keeps users of its own: roles, for a job or a person each.

The embedded engine of the local stack has no users inside; there the local stack's accounts hold (`rollcall` may do
everything, `dashboards` may only read), and no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from string import Template

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.clickhouse.client import DENIED, error_code, explained
from infra.clickhouse.migrate import placeholders, statements, views
from infra.generation import FIRST_TABLE, in_force
from schemas.settings import ClickHouseSettings, Settings

_NO_PLACE_FOR_ROLES = 514  # ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND: all of the server's users are in files


def grant(settings: Settings, client: Client, tell: Callable[[str], None]) -> None:
    """Makes the roles and grants them what they need; safe to repeat. Says so where the server does not let us.

    No user is made and no role taken from anybody: `GRANT rollcall_dashboards TO grafana` is the operator's.
    """
    c = settings.clickhouse
    with explained(c):
        try:
            for statement in grants(c, in_force(client).table):
                client.command(statement)
        except ClickHouseError as error:
            if error_code(error) not in (DENIED, _NO_PLACE_FOR_ROLES):
                raise
            if keeps_users(client):
                tell(
                    f"access: {c.user!r} may not make roles on {c.url}; let an administrator run "
                    f"infra/clickhouse/access/roles.sql, or grant it ACCESS MANAGEMENT and migrate again"
                )
            else:
                tell("access: this engine keeps no users inside; the local stack's accounts say who may only read")
        else:
            roles = ("worker", "close", "dashboards", "names", "auditors")
            tell(f"access: roles {', '.join(f'{c.database}_{role}' for role in roles)}")


def grants(c: ClickHouseSettings, active_users: str = FIRST_TABLE) -> Iterator[str]:
    """The statements, in order; `active_users` is the table in force."""
    names = placeholders(c, active_users)
    text = (files("infra.clickhouse") / "access" / "roles.sql").read_text("utf-8")
    yield from statements(Template(text).substitute(names))
    for view in views():
        yield (
            f"GRANT {names['on_cluster']} SELECT ON `{c.database}`.`{view.name}` TO {c.database}_dashboards"
        ).replace("  ", " ")


def keeps_users(client: Client) -> bool:
    """Whether users and roles can be stored here by SQL: the embedded engine has its built-in ones alone."""
    [[writable]] = client.query("SELECT count() FROM system.user_directories WHERE type != 'users_xml'").result_rows
    return bool(writable)
