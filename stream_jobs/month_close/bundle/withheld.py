"""A catalogue without the people that its exclusions, free users and aliases name. Pure."""

from __future__ import annotations

from typing import Any

import yaml

_LISTS = ("exclusions", "free_users")
_NAMING = ("subject", "pattern")


def without_people(text: str) -> tuple[str, int]:
    """The catalogue's text, and how many names were taken out of it.

    Where it names nobody it is as it was. Otherwise `(withheld N)` stands for each subject, pattern and name of an
    alias, the same number for the same text, and comments are gone: they may tell whom a line is about.
    """
    catalogue = yaml.safe_load(text)
    named: list[tuple[Any, Any]] = [
        (entry, part)
        for entries in _LISTS for entry in catalogue.get(entries) or [] for part in _NAMING if entry.get(part)
    ]  # fmt: skip
    named += [
        (alias["same"], place) for alias in catalogue.get("aliases") or [] for place in range(len(alias["same"]))
    ]
    numbers: dict[str, int] = {}
    for entry, part in named:
        entry[part] = f"(withheld {numbers.setdefault(str(entry[part]), len(numbers) + 1)})"
    return (yaml.safe_dump(catalogue, sort_keys=False, allow_unicode=True) if named else text), len(named)
