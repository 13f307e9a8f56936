"""docs/security.md: every promise names tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "security.md").read_text("utf-8")


def test_every_promise_names_tests_that_exist() -> None:
    table = PAGE.partition("| promise | test |")[2].partition("\n\n")[0]
    promises = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert len(promises) > 12
    file = Path()
    for promise, tests in promises:
        assert tests == "the same" or "`" in tests, promise
        for quoted in re.findall(r"`([^`]+)`", tests):
            split = re.fullmatch(r"(…|\S*\.py)?(?:::)?(\w+…?)?", quoted)
            assert split, f"{promise}: {quoted}"
            path, name = split.groups()
            if path not in (None, "…"):
                [file] = [*REPOSITORY.glob(path), *REPOSITORY.glob(f"tests/*/{path}")]
            if name:
                begin = re.escape(name.removesuffix("…"))
                whole = "" if name.endswith("…") else r"\("
                assert re.search(rf"^def {begin}{whole}", file.read_text("utf-8"), re.MULTILINE), f"{promise}: {quoted}"
