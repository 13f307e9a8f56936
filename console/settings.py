"""`rollcall settings`: every setting, in one place."""

from __future__ import annotations

from pydantic import BaseModel, SecretStr

from console.output import Format, show
from schemas.settings import load_settings, setting_names


def settings(*, format: Format = "table") -> None:
    """List every setting with its value and meaning."""
    loaded = load_settings()
    rows = []
    for variable, field in setting_names().items():
        group, _, name = variable.removeprefix("ROLLCALL_").lower().partition("_")
        part = getattr(loaded, group, None)
        value = getattr(part, name) if isinstance(part, BaseModel) else getattr(loaded, f"{group}_{name}".strip("_"))
        shown = "(secret)" if isinstance(value, SecretStr) else value
        rows.append((variable, "" if shown is None else str(shown), field.description or ""))
    show(format, ("setting", "value", "meaning"), rows)
