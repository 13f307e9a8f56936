"""Selectors: where in a JSON record a value stands. `detail.user.name`, `items[0].id`, `detail['odd.name']`; a leading
`$.` is allowed. Checked when they are read, not when they are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Selector = tuple[str | int, ...]
_STEP = re.compile(r"""\.?([^.\[\]'"\s]+)|\[([0-9]{1,6})\]|\['([^']+)'\]|\["([^"]+)"\]""")


def parse_selector(text: str) -> Selector:
    """ValueError, with the cure, for anything else."""
    rest = text.strip().removeprefix("$")
    steps: list[str | int] = []
    while rest:
        match = _STEP.match(rest)
        if match is None or (rest[0] == "." and not steps and not text.strip().startswith("$")):
            raise ValueError(
                f"{text!r} is no selector from {rest[:30]!r} on; write names with dots, [0] for a list's element, "
                f"['odd.name'] for a name with dots or spaces"
            )
        name, index, quoted, doubly = match.groups()
        steps.append(int(index) if index is not None else name or quoted or doubly)
        rest = rest[match.end():]
    if not steps:
        raise ValueError("is empty; name a member of the record")
    return tuple(steps)


def select(selector: Selector, value: Any) -> Any:
    """What stands there; None where a step leads nowhere."""
    for step in selector:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, Mapping) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
        if value is None:
            return None
    return value
