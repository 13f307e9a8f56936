"""The catalogue's stored versions, as a close reads them."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from infra.catalogue import load_version
from infra.errors import RollcallError
from schemas.catalogue import Catalogue, CatalogueError
from stream_jobs.month_close.versions import Versions


def stored_versions(client: Client) -> Versions:
    """All that are stored now. A later `apply` is not among them, and holds behind this close's records anyway."""
    numbers = [row[0] for row in client.query("SELECT DISTINCT version FROM catalogue_versions").result_rows]

    def read(version: int) -> Catalogue:
        try:
            return load_version(client, version)
        except CatalogueError as error:
            raise RollcallError(
                f"{error}\ncatalogue version {version} was stored by another release of Rollcall: use that, or a newer"
            ) from None

    return Versions(numbers, read)
