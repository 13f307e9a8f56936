"""Formulas of a sheet that grows: what they refer to moves as a spreadsheet program moves it when rows are inserted.

Of a repeated row the copies stand below it. A range that ends on it or goes over it grows; what is below moves down.
What could mean two things, or cannot be followed, is refused. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from openpyxl.formula.tokenizer import Token, Tokenizer, TokenizerError

LAST_ROW = 1_048_576
_SHEET = r"(?:(?P<sheet>'(?:[^']|'')+'|[^'!\[\]:()]+)!)?"
_END = r"(?P<{0}column>\$?[A-Za-z]{{1,3}})?(?P<{0}row>\$?[0-9]+)?"
_REFERENCE = re.compile(f"{_SHEET}{_END.format('a')}(?P<colon>:)?{_END.format('b')}")
_COLUMNS = re.compile(rf"{_SHEET}\$?[A-Za-z]{{1,3}}:\$?[A-Za-z]{{1,3}}")
# A defined name, or a table's column such as Order[Quantity]: it moves by itself.
_NAME = re.compile(r"(?:(?:'(?:[^']|'')+'|[^'!\[\]:()]+)!)?[^\W\d][\w.\\?]*(?:\[.*\])?", re.DOTALL)
_COMPUTED = {"INDIRECT", "OFFSET", "ADDRESS"}


class Unmovable(Exception):
    """A formula that cannot be moved with its rows: why, and the cure."""


@dataclass(frozen=True)
class Rows:
    """The repeated rows of a sheet, as the template counts them, and how often each stands in the form (≥ 1)."""

    copies: Mapping[int, int] = field(default_factory=dict)

    def start(self, row: int) -> int:
        """Where a row of the template comes to stand; of a repeated one the first copy."""
        return row + sum(n - 1 for r, n in self.copies.items() if r < row)

    def end(self, row: int) -> int:
        """The same, of a repeated one the last copy."""
        return min(row + sum(n - 1 for r, n in self.copies.items() if r <= row), LAST_ROW)


Moves = Mapping[str, Rows]
"""By the name of the sheet, in lower case. Those without a repeated row are not in it."""
Relative = Callable[[str, int], int]
"""The new row of a relative reference to (sheet in lower case, row); raises Unmovable."""


def moved(formula: str, sheet: str, moves: Moves, relative: Relative | None = None) -> str:
    """The formula after the rows were repeated; unchanged when none is. `sheet` is where it stands.

    `relative` tells where references without $ lead; left out, like those with it. Raises Unmovable.
    """
    if not moves:
        return formula
    bare = not formula.startswith("=")
    try:
        tokens = Tokenizer(f"={formula}" if bare else formula)
    except (TokenizerError, IndexError, AssertionError):
        raise Unmovable("cannot be read as a formula: write it more plainly") from None
    for token in tokens.items:
        if token.type == Token.FUNC and token.subtype == Token.OPEN:
            _known(token.value[:-1].upper().removeprefix("_XLFN."))
        elif token.type == Token.OPERAND and token.subtype == Token.RANGE:
            token.value = _reference(token.value, sheet, moves, relative)
    text = "=" + "".join(token.value for token in tokens.items)
    return text[1:] if bare else text


def own_row(sheet: str, row: int, copy: int, moves: Moves) -> Relative:
    """For a formula in a repeated row: its relative references must be to its own row, and lead to the copy's."""

    def follow(target: str, referred: int) -> int:
        if target != sheet.lower():
            raise Unmovable(f"refers to row {referred} of another sheet without $: write ${referred}, or use a look-up")
        if referred != row:
            raise Unmovable(
                f"refers to row {referred} from the repeated row {row} without $: write ${referred} if each copy "
                "refers to that one row"
            )
        return moves[target].start(row) + copy

    return follow


def own_place(sheet: str, areas: Iterable[tuple[int, int]], moves: Moves) -> Relative:
    """For the condition of areas (first and last row each): relative references keep their distance from each cell."""
    held = list(areas)
    top = min(first for first, _ in held)
    home = sheet.lower()

    def follow(target: str, referred: int) -> int:
        if target != home:
            if home not in moves and target not in moves:
                return referred
            raise Unmovable(f"refers to row {referred} of another sheet without $: write ${referred}")
        rows, distance = moves.get(target, Rows()), referred - top
        low, high = min(distance, 0), max(distance, 0)
        for repeated in rows.copies:
            if distance and any(first + low <= repeated <= last + high for first, last in held):
                raise Unmovable(f"refers to row {referred} across the repeated row {repeated}: write ${referred}")
        return rows.start(top) + distance

    return follow


def absolute_only(moves: Moves) -> Relative:
    """For a defined name, which stands nowhere."""

    def follow(target: str, referred: int) -> int:
        if target in moves:
            raise Unmovable(f"refers to row {referred} without $: write ${referred}")
        return referred

    return follow


def _known(function: str) -> None:
    if ":" in function:
        raise Unmovable(f"has a range that ends in a function ({function}), which cannot be followed: write the range")
    if function in _COMPUTED:
        raise Unmovable(f"computes an address ({function}), which cannot be followed: refer to the cells themselves")


def _reference(text: str, sheet: str, moves: Moves, relative: Relative | None) -> str:
    found = _REFERENCE.fullmatch(text)
    if _COLUMNS.fullmatch(text) or (_NAME.fullmatch(text) and not (found and found["arow"])):
        return text
    if not found or not found["arow"] or bool(found["colon"]) != bool(found["brow"]):
        raise Unmovable(f"refers to {text}, which cannot be followed: refer to cells of one sheet of this workbook")
    named = found["sheet"]
    target = (named[1:-1].replace("''", "'") if named and named.startswith("'") else named or sheet).lower()
    rows = moves.get(target)
    if rows is None and relative is None:
        return text
    rows = rows or Rows()

    def row(part: str, move: Callable[[int], int]) -> tuple[str, int]:
        number = int(part.lstrip("$"))
        follows = relative is not None and not part.startswith("$")
        new = relative(target, number) if follows and relative else move(number)
        return ("$" if part.startswith("$") else "") + str(new), number

    def single(number: int) -> int:
        if number in rows.copies:
            raise Unmovable(
                f"refers to {text}, of the repeated row {number}, by itself: which copy is meant? Write the range "
                f"{text}:{text.rpartition('!')[2]} for all of them"
            )
        return rows.start(number)

    before = f"{named}!" if named else ""
    if not found["colon"]:
        return f"{before}{found['acolumn']}{row(found['arow'], single)[0]}"
    backwards = int(found["arow"].lstrip("$")) > int(found["brow"].lstrip("$"))
    first, last = (rows.end, rows.start) if backwards else (rows.start, rows.end)
    start, end = row(found["arow"], first)[0], row(found["brow"], last)[0]
    return f"{before}{found['acolumn'] or ''}{start}:{found['bcolumn'] or ''}{end}"
