"""The printed report: report.typ laid out by Typst. It fetches nothing and reads no font of the machine."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal, overload

import noto_cjk_sans_jp_bold
import noto_cjk_sans_jp_regular
import typst

from infra.errors import RollcallError
from schemas.agreement import Language
from schemas.report import Report, Standing
from stream_jobs.month_close.forms.page import page
from stream_jobs.month_close.forms.words import words

FONTS = (noto_cjk_sans_jp_regular.FONT_PATH, noto_cjk_sans_jp_bold.FONT_PATH)
TEMPLATE = files(__package__).joinpath("report.typ")


def pdf(report: Report, language: Language, standing: Standing, stored: bytes) -> bytes:
    """`stored` is the report's JSON, whose SHA-256 is printed. Japanese names show in every language."""
    return _laid_out(report, language, standing, stored, "pdf")


def pictures(report: Report, language: Language, standing: Standing, stored: bytes, ppi: int = 80) -> list[bytes]:
    """The same pages as PNG, to look at."""
    return _laid_out(report, language, standing, stored, "png", ppi)


@overload
def _laid_out(
    report: Report, language: Language, standing: Standing, stored: bytes, format: Literal["pdf"]
) -> bytes: ...
@overload
def _laid_out(
    report: Report, language: Language, standing: Standing, stored: bytes, format: Literal["png"], ppi: int
) -> list[bytes]: ...
def _laid_out(
    report: Report, language: Language, standing: Standing, stored: bytes, format: Literal["pdf", "png"],
    ppi: int | None = None,
) -> bytes | list[bytes]:  # fmt: skip
    data = json.dumps(page(report, words(language), standing, stored), ensure_ascii=False)
    try:
        made = typst.compile(
            TEMPLATE.read_bytes(), format=format, ppi=ppi, font_paths=_fonts(), sys_inputs={"report": data}
        )
    except typst.TypstError as error:
        raise RollcallError(f"the PDF of {report.agreement} cannot be laid out: {error}") from error
    if made is None or (format == "pdf" and isinstance(made, list)):
        raise RollcallError(f"the PDF of {report.agreement} cannot be laid out: Typst made nothing")
    return [made] if format == "png" and isinstance(made, bytes) else made


@cache
def _fonts() -> typst.Fonts:
    """The packaged ones and those inside of Typst; never the system's."""
    folders = [str(font)[: -len(font.name) - 1] for font in FONTS]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=folders)
