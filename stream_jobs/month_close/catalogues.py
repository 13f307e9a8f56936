"""The catalogue's stored versions, as a close reads them."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from infra.errors import RollcallError
from schemas.catalogue import Catalogue, CatalogueError, parse_catalogue
from stream_jobs.month_close.agreements import Versions


def stored_versions(client: Client) -> Versions:
    """All that are stored now. A later `apply` is not among them, and holds behind this close's records anyway."""
    numbers = [row[0] for row in client.query("SELECT DISTINCT version FROM catalogue_versions").result_rows]

    def read(version: int) -> Catalogue:
        [[text]] = client.query(
            "SELECT yaml FROM catalogue_versions WHERE version = %(version)s LIMIT 1", parameters={"version": version}
        ).result_rows
        try:
            return parse_catalogue(text, f"catalogue version {version}")
        except CatalogueError as error:
            raise RollcallError(
                f"{error}\ncatalogue version {version} was stored by another release of Rollcall: use that, or a newer"
            ) from None

    return Versions(numbers, read)
