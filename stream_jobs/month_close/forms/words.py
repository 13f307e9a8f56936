"""The words of a form, and how its language writes numbers, days and moments: one file of texts a language."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files

from schemas.agreement import Language
from schemas.calendar import zone_named
from schemas.report import State

LANGUAGES: tuple[Language, ...] = ("en", "ja", "nl")
_MONTHS: Mapping[Language, str] = {
    "en": "January February March April May June July August September October November December",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
}
_NOTHING = "–"


@dataclass(frozen=True)
class Words:
    language: Language
    texts: Mapping[str, Mapping[str, str]]
    """Section, then key; the same ones in every language."""

    def __call__(self, key: str, **values: object) -> str:
        """The text of `section.key`, filled in. KeyError when there is none."""
        section, _, name = key.partition(".")
        text = self.texts[section][name]
        return text.format(**values) if values else text

    def kind(self, kind: str) -> str:
        """The title of a kind of finding; of one that the file does not have, its code in words."""
        return self.texts["kind"].get(kind) or kind.replace("_", " ").capitalize()

    def mark(self, state: State) -> str:
        """What is written across what must not be taken for a report in force: DRAFT until it is approved."""
        return self.texts["mark"].get("draft" if state == "open" else state, "")

    def number(self, number: int) -> str:
        """1,234; in Dutch 1.234; with a true minus sign."""
        text = f"{abs(number):,}"
        text = text.replace(",", ".") if self.language == "nl" else text
        return f"−{text}" if number < 0 else text

    def quantity(self, number: int) -> str:
        """For the cells of a table, where nothing is a dash."""
        return self.number(number) if number else _NOTHING

    def signed(self, number: int) -> str:
        return f"+{self.number(number)}" if number > 0 else self.quantity(number)

    def day(self, day: date) -> str:
        """31 October 2026, 2026年10月31日, 31 oktober 2026."""
        if self.language == "ja":
            return f"{day.year}年{day.month}月{day.day}日"
        return f"{day.day} {self.month(day)}"

    def month(self, day: date) -> str:
        """October 2026, 2026年10月, oktober 2026."""
        if self.language == "ja":
            return f"{day.year}年{day.month}月"
        return f"{_MONTHS[self.language].split()[day.month - 1]} {day.year}"

    def moment(self, text: str, zone: str) -> str:
        """An RFC 3339 moment as day and time of a zone; nothing of nothing."""
        if not text:
            return ""
        local = datetime.fromisoformat(text).astimezone(zone_named(zone))
        return f"{self.day(local.date())} {local:%H:%M}"


@cache
def words(language: Language) -> Words:
    text = files(__package__).joinpath(f"words_{language}.toml").read_text("utf-8")
    return Words(language, tomllib.loads(text))
