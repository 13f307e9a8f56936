"""A distributor's own XLSX form, filled."""

from __future__ import annotations

from infra.errors import ConfigurationError
from schemas.agreement import Language
from schemas.report import Report, Standing


def fill(form: bytes, report: Report, language: Language, standing: Standing) -> bytes:
    """The form's bytes with its placeholders replaced."""
    raise ConfigurationError("filled forms come with the next commit")
