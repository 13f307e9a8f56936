"""Logins without end, and what each of them must become: the truth of the fault suite.

Seeded. The truth is known by construction (a spelling is made from its canonical form, an instant from its local day),
so no code of Rollcall's takes part in it. Of what is delivered some 30 % are repeats, of this portion or of an earlier
one; most logins stand within 48 hours of the end of February, and are delivered up to 48 hours out of order; 3 % are
events that must be set aside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from examples.brokers import CATALOGUE as CATALOGUE  # the simulated provider's: two programmes, four tenants

FEBRUARY = date(2026, 2, 1)
REMEMBERED = 200_000
"""Events whose meaning is kept; a soak sends more."""
_END = datetime(2026, 3, 1)
_TOKYO, _BERLIN, _NEW_YORK = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AGREEMENT_OF = {
    "DAAS-PREM-T1": "citrix-csp", "DAAS-STD-T1": "citrix-csp", "VDA-ONPREM": "citrix-csp",
    "HOSTED-DESKTOP": "hosting", "HOSTED-KIOSK": "hosting",
}  # fmt: skip
_ZONE_OF = {"citrix-csp": _TOKYO, "hosting": _BERLIN}
_WRITTEN_IN = {"/citrix/tokyo-1": _TOKYO, "/avd/frankfurt-1": _BERLIN, "/horizon/newyork-1": _NEW_YORK}
# By tenant: the domain of its users, whether case is folded, and (source, SKU, data) as its brokers name a login.
_TENANTS: dict[str, tuple[str, bool, list[tuple[str, str, dict[str, str]]]]] = {
    "customer-a": ("customer-a.example", True, [
        ("/citrix/tokyo-1", "DAAS-PREM-T1", {"product": "Finance Desktop"}),
        ("/citrix/tokyo-1", "DAAS-STD-T1", {"product": "Office Desktop"}),
        ("/horizon/newyork-1", "VDA-ONPREM", {"tenant": "customer-a", "product": "Apps"}),
    ]),
    "customer-b": ("b-group.example", True, [
        ("/avd/frankfurt-1", "HOSTED-DESKTOP", {"product": "pool-7"}),
        ("/citrix/tokyo-1", "DAAS-STD-T1", {"tenant": "customer-b", "sku": "DAAS-STD-T1"}),
    ]),
    "customer-c": ("customer-c.example", False, [
        ("/horizon/newyork-1", "VDA-ONPREM", {"tenant": "customer-c", "product": "Apps"}),
    ]),
    "customer-d": ("customer-d.example", True, [("/avd/frankfurt-1", "HOSTED-KIOSK", {"product": "lobby"})]),
}  # fmt: skip
_NAMES = [("user", ["user", "User", "USER"]), ("café", ["café", "cafe\u0301", "CAFÉ"]), ("οδοσ", ["οδος", "ΟΔΟΣ"])]
_EXACT = [("user", ["user"]), ("User", ["User"]), ("Größe", ["Größe", "Gro\u0308ße"])]


class Login(NamedTuple):
    """Who must be counted where, and what the event adds to the row."""

    month: date
    tenant: str
    sku: str
    canonical: str
    day: int
    first: tuple[int, str, str]
    """Epoch microseconds, source, id."""


class Event(NamedTuple):
    """One event as it is sent. `login` is None when it must be set aside, `whole` when it cannot even be packed."""

    raw: bytes
    subject: str
    login: Login | None
    whole: bool = False


class Logins:
    """An endless, seeded source of events."""

    def __init__(self, seed: int, users: int = 20_000) -> None:
        self._rng, self._users = Random(seed), users
        self._by_identity: dict[tuple[str, ...], Login | None] = {}
        self._recent: list[Event] = []
        self._number = 0

    def next(self, logins: int) -> list[Event]:
        """So many logins, and their repeats, in the order of their delivery."""
        rng, delivered = self._rng, []
        for _ in range(logins):
            made = self._bad() if rng.random() < 0.03 else self._login()
            told = [made[1]]
            while rng.random() < 0.3:
                told.append(rng.choice(self._recent) if self._recent and rng.random() < 0.5 else made[1])
            delivered += [(made[0] + timedelta(hours=48 * rng.random()), each) for each in told]
            self._recent.append(made[1])
        self._recent = self._recent[-5_000:]
        for old in list(islice(self._by_identity, max(0, len(self._by_identity) - REMEMBERED))):
            del self._by_identity[old]  # read from the log long ago
        return [event for _, event in sorted(delivered, key=lambda each: each[0])]

    def meaning(self, element: Any) -> Login | None:
        """What an event that stands in the log means; None: it must be set aside. KeyError: nobody sent it."""
        return self._by_identity[_identity(element)]

    def _login(self) -> tuple[datetime, Event]:
        rng = self._rng
        number = int(self._users * rng.random() ** 1.5)
        fixed = Random(number)  # a user stays who he is
        tenant = fixed.choices(list(_TENANTS), (5, 3, 2, 1))[0]
        domain, folds, ways = _TENANTS[tenant]
        word, spellings = fixed.choice(_NAMES if folds else _EXACT)
        rest = f"{number:06d}@{domain}"
        source, sku, data = rng.choice(ways)
        around = rng.random() < 0.6
        local = _END + (rng.random() * 2 - 1) * (timedelta(hours=48) if around else timedelta(days=26))
        at = local.replace(tzinfo=_ZONE_OF[AGREEMENT_OF[sku]])
        written = at.astimezone(_WRITTEN_IN[source]).isoformat()
        spelled = rng.choice(("", "", "", " ")) + rng.choice(spellings) + rest
        event = self._event(source, written, spelled, data)
        microseconds = (at - _EPOCH) // timedelta(microseconds=1)
        login = Login(local.date().replace(day=1), tenant, sku, word + rest, local.day,
                      (microseconds, source, event["id"]))  # fmt: skip
        self._by_identity[_identity(event)] = login
        return local, Event(json.dumps(event, ensure_ascii=rng.random() < 0.5).encode(), spelled, login)

    def _bad(self) -> tuple[datetime, Event]:
        rng, local = self._rng, _END + (self._rng.random() * 2 - 1) * timedelta(hours=48)
        event = self._event("/citrix/tokyo-1", local.isoformat() + "+09:00", f"nobody{rng.random()}@customer-a.example",
                            {"tenant": "customer-a", "sku": "NO-SUCH"})  # fmt: skip
        raw, whole = json.dumps(event).encode(), rng.random() < 0.5
        if whole:  # cut off
            raw = raw[:-1]
            self._by_identity[(raw.decode(),)] = None
        else:
            self._by_identity[_identity(event)] = None
        return local, Event(raw, event["subject"], None, whole)

    def _event(self, source: str, time: str, subject: str, data: Mapping[str, str]) -> dict[str, Any]:
        self._number += 1
        return {
            "specversion": "1.0", "id": f"{self._number:x}", "source": source, "type": "rollcall.login.v1",
            "time": time, "subject": subject, "data": data,
        }  # fmt: skip


def _identity(element: Any) -> tuple[str, ...]:
    if isinstance(element, str):  # the text of a record that is no JSON
        return (element,)
    return element["source"], element["id"], element["time"], element["subject"]
