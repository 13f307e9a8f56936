"""Who logs in where, under which of their names, and when: two months of a provider with every kind of source.

The truth is kept here, by person. Nothing of Rollcall's code is asked for it.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

TOKYO = ZoneInfo("Asia/Tokyo")
MONTHS = SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
TENANTS = {"customer-a": "CORP-A", "customer-b": "CORP-B"}
"""With their Windows domains."""
STEMS = ["zoë", "jürgen", "straße", "søren", "ガルシア", "kim", "alice", "bob", "o'neil", "maría josé", "émile",
         "chloe"]  # fmt: skip
DESK = "front-desk"
"""A bare name that is one person's in September and another's in October."""

Spelling = Literal["upn", "sam", "sid", "bare"]


class Person(NamedTuple):
    tenant: str
    key: str
    number: int
    shown: bool
    """Linked by what Citrix shows in the same month; else by the catalogue."""

    @property
    def names(self) -> dict[Spelling, str]:
        return {
            "upn": f"{self.key.replace(' ', '.')}@{self.tenant}.example", "sam": f"{TENANTS[self.tenant]}\\{self.key}",
            "sid": f"S-1-5-21-1-2-3-{self.number}", "bare": self.key,
        }  # fmt: skip


class Broker(NamedTuple):
    """A source: whose people it serves, its products' SKUs, how it spells a user."""

    tenants: tuple[str, ...]
    products: dict[str, str]
    spelling: Spelling


A, B = TENANTS
BROKERS = {
    "/citrix/1": Broker((A, B), {"Finance Desktop": "DAAS", "Design": "VDI"}, "upn"),
    "/avd/1": Broker((A, B), {"rg-avd-jp/hp-finance": "DAAS"}, "upn"),
    "/workspaces/1": Broker((A,), {"d-1": "VDI"}, "sam"),
    "/secure-browser/1": Broker((B,), {"arn:aws:workspaces-web:jp:1:portal/1": "DAAS"}, "upn"),
    "/horizon/1": Broker((A,), {"finance-pool": "VDI"}, "sid"),
    "/horizon/2": Broker((B,), {"design-pool": "VDI"}, "sid"),
    "/guacamole/1": Broker((A,), {"Desk": "DAAS"}, "bare"),
    "/windows/1": Broker((A,), {"rdsh-1.customer-a.example": "VDI"}, "sam"),
    "/sshd/1": Broker((B,), {"publickey": "VDI"}, "bare"),
    "/vpn/1": Broker((B,), {"Kantoor": "DAAS"}, "sam"),
    "/portal/1": Broker((A, B), {"Portal": "VDI"}, "upn"),
}
INSTANCES = "/adc/1"
REGULAR = ("/citrix/1", "/avd/1", "/portal/1")
"""They have a rhythm: somebody logs in there on every working day."""
AVD_IS_DARK = datetime(2026, 10, 14, 11, tzinfo=TOKYO), datetime(2026, 10, 20, 10, tzinfo=TOKYO)
"""From the end of the hour in which it was last heard of, Wednesday, to when it speaks again, Tuesday."""


@dataclass(frozen=True, slots=True)
class Login:
    number: int
    month: date
    """In which it is told: the last instants of a month and the first of the next are told together."""
    source: str
    product: str
    at: datetime
    """In Tokyo, whole milliseconds."""
    person: Person
    name: str
    """As the source spells the person."""
    counts: bool = True
    begun: datetime | None = None
    """Of a session taken up again: when it began, in a month before."""
    late: bool = False
    """It reaches the source's files and tables after the first reading."""

    @property
    def sku(self) -> str:
        return BROKERS[self.source].products[self.product]


Cell = tuple[date, str, str]
"""Month, tenant, SKU."""


def truth(logins: Iterable[Login]) -> dict[Cell, set[Person]]:
    """The oracle: in each month, tenant and SKU the people who logged in."""
    found: dict[Cell, set[Person]] = {}
    for login in logins:
        if login.counts:
            for at in filter(None, (login.at, login.begun)):
                cell = (at.date().replace(day=1), login.person.tenant, login.sku)
                found.setdefault(cell, set()).add(login.person)
    return found


def folded(name: str) -> str:
    """By which two spellings are one: `Zoë` composed or not, in any case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def everybody() -> list[Person]:
    """The same bare names in both tenants: a namesake is another person."""
    keys = [*STEMS, *(f"{stem} {n}" for n in (2, 3) for stem in STEMS)]
    return [
        Person(tenant, key, 1000 + 100 * t + n, shown=n % 3 == 0)
        for t, tenant in enumerate(TENANTS) for n, key in enumerate(keys)
    ]  # fmt: skip


class TwoMonths:
    """All logins and inventories of a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.people = everybody()
        self.at_the_desk = {SEPTEMBER: self.people[4], OCTOBER: self.people[5]}
        self.logins: list[Login] = []
        for month in MONTHS:
            for one in self._some(month):
                self._add(month, *one)
            for source in REGULAR:
                self._every_day(month, source)
            self._at_the_desk(month)
            self._shown(month)
            self._noise(month)
        self._taken_up_again()
        self.instances = {month: self._inventories(month) for month in MONTHS}

    def of(self, source: str, month: date) -> list[Login]:
        """What it tells in `month`."""
        return [login for login in self.logins if login.source == source and login.month == month]

    def _some(self, month: date) -> Iterator[tuple[str, Person, datetime]]:
        """Each person at a few brokers, some at the month's edges."""
        begin, end = edges(month)
        edge = [begin, begin + timedelta(seconds=1), end - timedelta(milliseconds=1), end - timedelta(seconds=1), end,
                end + timedelta(seconds=59)]  # fmt: skip
        if month == SEPTEMBER:  # what is before October, September's close must have seen
            edge += [begin - timedelta(milliseconds=1), begin - timedelta(hours=7)]
        for person in self.people:
            if self.dice.random() < 0.4:
                continue
            served = [source for source, broker in BROKERS.items() if person.tenant in broker.tenants]
            for source in self.dice.sample(served, self.dice.randint(1, 3)):
                inside = begin + timedelta(milliseconds=self.dice.randrange(int((end - begin).total_seconds()) * 1000))
                if source == "/avd/1" and dark(inside):
                    inside = AVD_IS_DARK[1] + timedelta(days=1)
                yield source, person, self.dice.choice([inside, inside, self.dice.choice(edge)])

    def _every_day(self, month: date, source: str) -> None:
        begin, end = edges(month)
        for day in range((end - begin).days):
            at = begin + timedelta(days=day, hours=10, minutes=self.dice.randrange(59))
            if at.weekday() < 5 and not (source == "/avd/1" and dark(at)):
                self._add(month, source, self.dice.choice(self.people[:7] + self.people[36:43]), at)

    def _at_the_desk(self, month: date) -> None:
        at = edges(month)[0] + timedelta(days=9, hours=9)
        self._add(month, "/guacamole/1", self.at_the_desk[month], at, name=DESK)
        self._add(month, "/avd/1", self.at_the_desk[month], at)

    def _shown(self, month: date) -> None:
        """Whoever's names only Citrix knows was there, in each month in which they were anywhere."""
        active = {p for (_, _, _), found in truth(self.logins).items() for p in found if p.shown}
        months = {(p, m) for (m, _, _), found in truth(self.logins).items() for p in found if p.shown}
        for person in sorted(active):
            if (person, month) in months:
                self._add(month, "/citrix/1", person, edges(month)[0] + timedelta(days=20, hours=8))

    def _noise(self, month: date) -> None:
        """What is no login, by people who are elsewhere too, and by some who are nowhere else."""
        ghosts = [Person(tenant, f"ghost-{n}", 9000 + n, shown=False) for n, tenant in enumerate(TENANTS)]
        for source, broker in BROKERS.items():
            for number in range(5):
                person = self.dice.choice([p for p in self.people + ghosts * 6 if p.tenant in broker.tenants])
                at = edges(month)[0] + timedelta(days=self.dice.randrange(28), hours=12, milliseconds=number)
                if not (source == "/avd/1" and dark(at)):
                    self._add(month, source, person, at, counts=False)

    def _taken_up_again(self) -> None:
        """Citrix sessions of August in September: they count in both."""
        for person in self.people[1:4]:
            begun = edges(SEPTEMBER)[0] - timedelta(days=9)
            self._add(SEPTEMBER, "/citrix/1", person, begun + timedelta(days=15), begun=begun)

    def _inventories(self, month: date) -> dict[date, dict[str, str]]:
        """Of some days, the first and the last among them: the state of each instance."""
        begin, end = (edge.date() for edge in edges(month))
        days = [begin, begin + timedelta(days=11), end - timedelta(days=1)]
        every = [f"adc-{n}" for n in range(9)]
        return {
            day: {name: self.dice.choice(["Up", "Down"]) for name in self.dice.sample(every, 6)} for day in days
        }  # fmt: skip

    def _add(
        self, month: date, source: str, person: Person, at: datetime, *, name: str | None = None, counts: bool = True,
        begun: datetime | None = None,
    ) -> None:  # fmt: skip
        broker, number = BROKERS[source], len(self.logins)
        spelled = name or self._spelled(person.names[broker.spelling])
        product = self.dice.choice(list(broker.products))
        late = month == SEPTEMBER and self.dice.random() < 0.15
        self.logins.append(Login(number, month, source, product, at, person, spelled, counts, begun, late))

    def _spelled(self, name: str) -> str:
        if name.startswith("S-1-"):
            return name
        case: Callable[[str], str] = self.dice.choice([str.upper, str.lower, str.title, str.swapcase])
        return unicodedata.normalize(self.dice.choice(["NFC", "NFD"]), case(name))


def edges(month: date) -> tuple[datetime, datetime]:
    begin = datetime(month.year, month.month, 1, tzinfo=TOKYO)
    return begin, datetime(month.year, month.month + 1, 1, tzinfo=TOKYO)


def dark(at: datetime) -> bool:
    return AVD_IS_DARK[0] <= at < AVD_IS_DARK[1]


def missed_hours() -> int:
    """Of AVD's silence: hours from 8 to 20 on working days."""
    begin, end = AVD_IS_DARK
    every = (begin + timedelta(hours=n) for n in range(int((end - begin).total_seconds()) // 3600))
    return sum(hour.weekday() < 5 and 8 <= hour.hour < 20 for hour in every)
