"""What a workbook holds that would be lost, since the library that fills it does not write it back: looked for in the
file itself. Pure."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

from openpyxl.utils import get_column_letter

from infra.errors import ConfigurationError

_KEPT = re.compile(
    r"\[Content_Types\]\.xml|_rels/\.rels|docProps/(app|core|custom)\.xml"
    r"|xl/(workbook|styles|sharedStrings|calcChain)\.xml|xl/theme/theme\d*\.xml|xl/tables/table\d+\.xml"
    r"|xl/worksheets/[^/]+\.xml|xl/(comments\d*|comments/comment\d+)\.xml|xl/drawings/[^/]*\.vml"
    r"|xl/(_rels|worksheets/_rels)/[^/]+\.rels"
)
# Properties of the document or the printer, not of the form.
_LEFT_OUT = re.compile(
    r"xl/printerSettings/.*|customXml/.*|docMetadata/.*|docProps/thumbnail\.\w+"
)
_LOST = {
    "xl/charts/": "a chart", "xl/media/": "a picture", "xl/chartsheets/": "a chart sheet",
    "xl/pivotTables/": "a pivot table", "xl/pivotCache/": "a pivot table", "xl/vbaProject": "macros",
    "xl/ctrlProps/": "a form control", "xl/activeX/": "a control", "xl/embeddings/": "an embedded object",
    "xl/externalLinks/": "a link to another workbook", "xl/slicers/": "a slicer", "xl/slicerCaches/": "a slicer",
    "xl/timelines/": "a timeline", "xl/threadedComments/": "a threaded comment (notes are kept)",
    "xl/persons/": "a threaded comment (notes are kept)", "xl/queryTables/": "a query", "xl/connections": "a query",
    "xl/model/": "a data model", "xl/xmlMaps": "an XML map",
    "xl/metadata": "a dynamic array formula or picture in a cell",
    "xl/richData/": "a picture or data type in a cell", "xl/diagrams/": "SmartArt", "xl/ink/": "ink",
    "xl/dialogsheets/": "a dialog sheet", "xl/macrosheets/": "macros", "customUI": "a ribbon of its own",
}  # fmt: skip
_KEPT_ELEMENTS = frozenset({
    "sheetPr", "dimension", "sheetViews", "sheetFormatPr", "cols", "sheetData", "sheetProtection", "autoFilter",
    "mergeCells", "phoneticPr", "conditionalFormatting", "dataValidations", "hyperlinks", "printOptions", "pageMargins",
    "pageSetup", "headerFooter", "rowBreaks", "colBreaks", "ignoredErrors", "drawing", "legacyDrawing", "tableParts",
})  # fmt: skip
_ELEMENTS = {
    "protectedRanges": "ranges that some may edit in spite of the protection", "scenarios": "scenarios",
    "customSheetViews": "custom views", "extLst": "conditional formats, validations or sparklines of a newer kind",
    "legacyDrawingHF": "a picture in the header or footer", "controls": "form controls",
    "AlternateContent": "form controls", "oleObjects": "embedded objects",
    "dataConsolidate": "a consolidation", "sortState": "an order of sorting",
}  # fmt: skip
_MOST = 200 * 1024 * 1024
_NS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_ANCHOR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"


def lost(form: bytes) -> list[tuple[str, str, str]]:
    """Everything that filling would lose: sheet, cell (where they are known), what. Raises ConfigurationError when it
    is no XLSX workbook."""
    try:
        with zipfile.ZipFile(io.BytesIO(form)) as pack:
            names = pack.namelist()
            if "xl/workbook.xml" not in names or "[Content_Types].xml" not in names:
                raise ConfigurationError("the form is not an XLSX workbook: save it as .xlsx in a spreadsheet program")
            if sum(entry.file_size for entry in pack.infolist()) > _MOST:
                raise ConfigurationError("the form is larger than 200 MB unpacked: that is no form")
            return list(dict.fromkeys(_lost(pack, names)))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        raise ConfigurationError(
            "the form is not an XLSX workbook, or is protected by a password to open it: save it as .xlsx without one"
        ) from None
    except ElementTree.ParseError as error:
        raise ConfigurationError(f"the form is damaged ({error}): save it anew in a spreadsheet program") from None


def _lost(pack: zipfile.ZipFile, names: list[str]) -> Iterator[tuple[str, str, str]]:
    sheets = _sheets(pack)
    drawn = False
    for part, sheet in sheets.items():
        if part not in names:
            continue
        related = _related(pack, part)
        for element in ElementTree.fromstring(pack.read(part)):
            name = element.tag.removeprefix(_NS)
            points_to = related.get(element.get(_RELATION, ""), "")
            if name == "picture":
                yield sheet, "", "a background picture"
            elif name == "drawing" and points_to in names:
                drawn = True
                for cell, what in _drawn(pack.read(points_to)):
                    yield sheet, cell, what
            elif name == "legacyDrawing" and points_to in names:
                kinds = set(re.findall(rb'ObjectType="(\w+)"', pack.read(points_to))) - {b"Note"}
                if kinds:
                    yield sheet, "", f"a form control ({', '.join(sorted(kind.decode() for kind in kinds))})"
            elif name not in _KEPT_ELEMENTS:
                yield sheet, "", _ELEMENTS.get(name, f"the element {name.rpartition('}')[2]}")
    for name in names:
        if name.endswith("/") or _KEPT.fullmatch(name) or _LEFT_OUT.fullmatch(name):
            continue
        if name.startswith("xl/drawings/") or (drawn and name.startswith(("xl/charts/", "xl/media/", "xl/diagrams/"))):
            continue  # told with its cell
        yield "", "", next((what for start, what in _LOST.items() if name.startswith(start)), f"the part {name}")


def _sheets(pack: zipfile.ZipFile) -> dict[str, str]:
    """The parts of the worksheets, with their names."""
    related = _related(pack, "xl/workbook.xml")
    book = ElementTree.fromstring(pack.read("xl/workbook.xml"))
    return {related.get(s.get(_RELATION, ""), ""): s.get("name", "") for s in book.iter(f"{_NS}sheet")}


def _related(pack: zipfile.ZipFile, part: str) -> dict[str, str]:
    """The parts that a part points to, by the id that it uses for them."""
    folder, name = posixpath.split(part)
    file = f"{folder}/_rels/{name}.rels"
    if file not in pack.namelist():
        return {}
    return {
        relation.get("Id", ""): posixpath.normpath(posixpath.join("/", folder, relation.get("Target", ""))).lstrip("/")
        for relation in ElementTree.fromstring(pack.read(file))
    }


_KINDS = {"pic": "a picture", "sp": "a shape or text box", "cxnSp": "a line", "grpSp": "a group of shapes",
          "graphicFrame": "a chart or diagram"}  # fmt: skip


def _drawn(drawing: bytes) -> Iterator[tuple[str, str]]:
    for anchor in ElementTree.fromstring(drawing):
        row, column = anchor.find(f".//{_ANCHOR}from/{_ANCHOR}row"), anchor.find(f".//{_ANCHOR}from/{_ANCHOR}col")
        cell = ""
        if row is not None and column is not None:
            cell = f"{get_column_letter(int(column.text or 0) + 1)}{int(row.text or 0) + 1}"
        kinds = {child.tag.removeprefix(_ANCHOR) for child in anchor.iter()}
        yield cell, next((what for kind, what in _KINDS.items() if kind in kinds), "a drawing")
