"""What several commands take as an argument."""

from __future__ import annotations

from datetime import date

from infra.errors import ConfigurationError
from schemas.calendar import parse_month


def month_of(text: str) -> date:
    """`YYYY-MM` as the month's first day. Raises ConfigurationError for anything else."""
    try:
        return parse_month(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
