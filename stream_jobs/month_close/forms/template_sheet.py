"""A sheet whose repeated rows stand as often as asked, with all that hangs on rows: formulas, styles, heights, merged
cells, conditional formats, validations, tables, print settings. What cannot be moved is told, not guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.formatting.formatting import ConditionalFormatting, ConditionalFormattingList
from openpyxl.utils import get_column_letter
from openpyxl.workbook import Workbook
from openpyxl.worksheet.cell_range import CellRange, MultiCellRange
from openpyxl.worksheet.merge import MergedCellRange
from openpyxl.worksheet.worksheet import Worksheet

from stream_jobs.month_close.forms.template_formula import (
    Moves,
    Relative,
    Rows,
    Unmovable,
    absolute_only,
    moved,
    own_place,
    own_row,
)

Refuse = Callable[[str, str, str], None]
"""Told of sheet, cell or name, and why it cannot be kept."""


def grow(book: Workbook, moves: Moves, refuse: Refuse) -> None:
    """Repeats the rows, in place. Formulas of every sheet follow. Whether something is refused does not depend on how
    often the rows stand."""
    if not moves:
        return
    for sheet in book.worksheets:
        _Growing(sheet, moves, refuse).grow()
    named = [("", name) for name in book.defined_names.values()]
    named += [(sheet.title, name) for sheet in book.worksheets for name in sheet.defined_names.values()]
    for title, name in named:
        try:
            name.value = moved(name.value or "", title, moves, absolute_only(moves))
        except Unmovable as error:
            refuse(title, f"the name {name.name}", str(error))


class _Growing:
    def __init__(self, sheet: Worksheet, moves: Moves, refuse: Refuse) -> None:
        self.sheet, self.moves, self.refuse = sheet, moves, refuse
        self.rows = moves.get(sheet.title.lower(), Rows())

    def grow(self) -> None:
        self._formulas_of_areas()
        if self.rows.copies:
            self._merges_can_follow()
            self._layout()
        self._cells()
        if self.rows.copies:
            self._heights()
            self._merges()

    def _formula(self, text: str, place: str, relative: Relative | None) -> str:
        try:
            return moved(text, self.sheet.title, self.moves, relative)
        except Unmovable as error:
            self.refuse(self.sheet.title, place, f"the formula {text} {error}")
            return text

    def _cells(self) -> None:
        sheet, rows = self.sheet, self.rows
        cells = {}
        for (row, column), cell in sorted(sheet._cells.items()):
            copies = rows.copies.get(row, 0)
            place = f"{get_column_letter(column)}{row}"
            formula = cell.value if isinstance(cell, Cell) and cell.data_type == "f" else None
            if formula is not None and not isinstance(formula, str):
                self.refuse(sheet.title, place, "is an array formula or data table, which cannot be moved")
                formula = None
            for index in range(max(copies, 1)):
                there = cell if index == 0 else _like(cell)
                there.row = rows.start(row) + index
                cells[there.row, column] = there
                if formula is not None and isinstance(there, Cell):
                    follow = own_row(sheet.title, row, index, self.moves) if copies else None
                    there.value = self._formula(formula, place, follow)
            if isinstance(cell, Cell) and cell.hyperlink is not None:
                cell.hyperlink.ref = cell.coordinate
                if copies:
                    self.refuse(sheet.title, place, "is a link in a repeated row: take the link away")
                elif cell.hyperlink.location:
                    cell.hyperlink.location = self._formula(cell.hyperlink.location, place, None)
        sheet._cells = cells

    def _heights(self) -> None:
        dimensions = self.sheet.row_dimensions
        held = dict(dimensions.items())
        dimensions.clear()
        for row, dimension in held.items():
            for index in range(max(self.rows.copies.get(row, 0), 1)):
                there = dimension if index == 0 else copy(dimension)
                there.index = self.rows.start(row) + index
                dimensions[there.index] = there

    def _merges_can_follow(self) -> None:
        for merged in self.sheet.merged_cells.sorted():
            over = [row for row in self.rows.copies if merged.min_row <= row <= merged.max_row]
            if over and merged.min_row != merged.max_row:
                self.refuse(self.sheet.title, merged.coord, f"is merged over the repeated row {over[0]}: unmerge it")

    def _merges(self) -> None:
        ranges = []
        for merged in self.sheet.merged_cells.sorted():
            for index in range(max(self.rows.copies.get(merged.min_row, 0), 1)):
                coord = _coord(merged, self.rows.start(merged.min_row) + index, self.rows.start(merged.max_row) + index)
                ranges.append(MergedCellRange(self.sheet, coord))
        self.sheet.merged_cells = MultiCellRange(ranges)

    def _formulas_of_areas(self) -> None:
        """Conditional formats and validations: where they hold, and what they ask."""
        grown = ConditionalFormattingList()
        for format in self.sheet.conditional_formatting:
            place, follow = str(format.sqref), self._follow(format.sqref)
            for rule in format.rules:
                rule.formula = [self._formula(text, place, follow) for text in rule.formula]
                scale = rule.colorScale or rule.dataBar or rule.iconSet
                if scale is not None and any(cfvo.type == "formula" for cfvo in scale.cfvo):
                    self.refuse(self.sheet.title, place, "has a colour scale or bar by a formula: give it numbers")
                grown.add(ConditionalFormatting(self._area(format.sqref), format.pivot), rule)
        self.sheet.conditional_formatting = grown
        for validation in self.sheet.data_validations.dataValidation:
            place, follow = str(validation.sqref), self._follow(validation.sqref)
            for side in ("formula1", "formula2"):
                if text := getattr(validation, side):
                    setattr(validation, side, self._formula(text, place, follow))
            validation.sqref = self._area(validation.sqref)

    def _layout(self) -> None:
        """What holds for rows of the whole sheet."""
        sheet, rows = self.sheet, self.rows
        view = sheet.sheet_view.pane
        if view is not None and view.state in ("frozen", "frozenSplit"):
            frozen = [row for row in rows.copies if row <= int(view.ySplit or 0)]
            if frozen:
                self.refuse(sheet.title, f"row {frozen[0]}", "is repeated, and among the frozen rows: freeze fewer")
        for table in sheet.tables.values():
            if any(column.calculatedColumnFormula for column in table.tableColumns):
                self.refuse(sheet.title, table.ref, f"the table {table.name} has a calculated column: write its cells")
            if CellRange(table.ref).min_row in rows.copies:
                self.refuse(sheet.title, table.ref, f"the heads of the table {table.name} are a repeated row")
            table.ref = self._coords([CellRange(table.ref)])
            if table.autoFilter is not None:
                self._filter(table.autoFilter)
        self._filter(sheet.auto_filter)
        for row_break in sheet.row_breaks.brk:
            row_break.id = rows.end(int(row_break.id))
        if area := sheet.print_area:
            sheet.print_area = moved(str(area), sheet.title, self.moves)
        if titles := sheet.print_title_rows:
            sheet.print_title_rows = moved(titles, sheet.title, self.moves).replace("$", "")

    def _filter(self, filter: object) -> None:
        if getattr(filter, "sortState", None) is not None:
            self.refuse(self.sheet.title, str(getattr(filter, "ref", "")), "has an order of sorting: clear it")
        elif ref := getattr(filter, "ref", None):
            filter.ref = self._coords([CellRange(ref)])  # type: ignore[attr-defined]

    def _follow(self, areas: MultiCellRange) -> Relative:
        return own_place(self.sheet.title, [(area.min_row, area.max_row) for area in areas.ranges], self.moves)

    def _area(self, areas: MultiCellRange) -> MultiCellRange:
        return MultiCellRange(self._coords(areas.sorted()))

    def _coords(self, areas: Iterable[CellRange]) -> str:
        return " ".join(self._coord(area) for area in areas)

    def _coord(self, area: CellRange) -> str:
        return _coord(area, self.rows.start(area.min_row), self.rows.end(area.max_row))


def _coord(area: CellRange, first: int, last: int) -> str:
    start, end = (f"{get_column_letter(c)}{r}" for c, r in ((area.min_col, first), (area.max_col, last)))
    return start if start == end else f"{start}:{end}"


def _like(cell: Cell | MergedCell) -> Cell | MergedCell:
    """A copy in the same sheet, without note and link."""
    there: Cell | MergedCell
    if isinstance(cell, Cell):
        there = Cell(cell.parent, row=cell.row, column=cell.column)
        there.value = cell.value
        there.data_type = cell.data_type  # a text that begins with = stays one
    else:
        there = MergedCell(cell.parent, row=cell.row, column=cell.column)
    there._style = copy(cell._style)  # type: ignore[union-attr]  # which the stubs do not know
    return there
