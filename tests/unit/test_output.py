"""What the command prints as a table is what it was given, whatever it looks like."""

from __future__ import annotations

import pytest

from console.output import show, tell


def test_names_that_look_like_markup_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["negative:b:NP", "[bold]x[/bold]", "[red]", ":smile:", "a\\[b]", "一般社団法人"]
    show("table", ["finding", "users"], [(name, 1234) for name in names])
    tell("next: rollcall report waive 2026-10 negative:b:NP [x]")
    printed = capsys.readouterr()
    assert [line.split("│")[1].strip() for line in printed.out.splitlines() if "1,234" in line] == names
    assert printed.err == "next: rollcall report waive 2026-10 negative:b:NP [x]\n"
