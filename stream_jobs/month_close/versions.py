"""The catalogue's stored versions, and what the newest of them that knows something says about it.

What was taken out of the catalogue is still owed: so a SKU, a programme or an agreement is looked up in the version
asked for, and then in the earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date

from infra.errors import CheckFailed
from schemas.agreement import Agreement
from schemas.catalogue import Catalogue, Programme, Sku
from stream_jobs.month_close.agreements import contract_in


class Versions:
    """Each version is read when it is first asked for. `numbers` are those stored; `read` returns one of them."""

    def __init__(self, numbers: Iterable[int], read: Callable[[int], Catalogue]) -> None:
        self._numbers = sorted(numbers)
        self._read = read
        self._known: dict[int, Catalogue] = {}

    @property
    def newest(self) -> int | None:
        return self._numbers[-1] if self._numbers else None

    def at(self, version: int) -> Catalogue:
        """Raises CheckFailed when there is no such version."""
        if version not in self._numbers:
            raise CheckFailed(
                f"catalogue version {version} is in the log but not among the stored versions: "
                "restore ClickHouse's table catalogue_versions, or name the ClickHouse that it was applied to"
            )
        if version not in self._known:
            self._known[version] = self._read(version)
        return self._known[version]

    def skus(self, wanted: Iterable[str], version: int) -> dict[str, Sku]:
        """Each as of this version, or of the newest before it that has it.

        Raises CheckFailed when one is in none: nothing may be lost without a word.
        """
        missing = set(wanted)
        found: dict[str, Sku] = {}
        for catalogue in self._back_from(version):
            if not missing:
                break
            here = {sku.id: sku for sku in catalogue.skus if sku.id in missing}
            found |= here
            missing -= here.keys()
        if missing:
            raise CheckFailed(
                f"active_users has logins of {', '.join(sorted(missing))}, which no catalogue version up to {version} "
                "knows: look at `rollcall catalogue history`; was another ClickHouse restored?"
            )
        return found

    def with_programme(self, programme: str, version: int) -> Catalogue:
        """The newest version up to this one that has the programme. Raises CheckFailed when none has."""
        for catalogue in self._back_from(version):
            if programme in catalogue.programmes:
                return catalogue
        raise CheckFailed(
            f"no catalogue version up to {version} has a programme {programme}: add it, then `rollcall catalogue apply`"
        )

    def contract(self, agreement: str, version: int, month: date) -> Agreement:
        """The month's agreement, as of the newest version up to this one that knows its id (`contract_in`).

        Raises CheckFailed when none does.
        """
        catalogue = self._knowing(agreement, version)
        if catalogue is None:
            raise CheckFailed(
                f"no catalogue version up to {version} has an agreement {agreement}: add it, then "
                "`rollcall catalogue apply`"
            )
        return contract_in(catalogue, agreement, month)

    def programme(self, agreement: str, version: int, month: date) -> Programme | None:
        """That of the month's agreement; None when no version up to this one knows it."""
        if self._knowing(agreement, version) is None:
            return None
        id = self.contract(agreement, version, month).programme
        return self.with_programme(id, version).programmes[id]

    def _knowing(self, agreement: str, version: int) -> Catalogue | None:
        for catalogue in self._back_from(version):
            if agreement in catalogue.programmes or any(a.id == agreement for a in catalogue.agreements):
                return catalogue
        return None

    def _back_from(self, version: int) -> Iterator[Catalogue]:
        yield self.at(version)
        for number in reversed(self._numbers):
            if number < version:
                yield self.at(number)
