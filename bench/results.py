"""The files of a run: JSON, Markdown and a picture, in bench/results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.picture import svg
from bench.report import Section, markdown

FOLDER = Path(__file__).parent / "results"


def write(name: str, head: Mapping[str, str], sections: Mapping[str, Section], folder: Path = FOLDER) -> None:
    """Writes NAME.json, NAME.md and, where there is anything to draw, NAME.svg; what they held is replaced."""
    folder.mkdir(exist_ok=True)
    kept = {part: {"notes": s.notes, "failed": s.failed, "figures": s.figures} for part, s in sections.items()}
    text = json.dumps({"head": head, **kept}, indent=1, default=str) + "\n"
    (folder / f"{name}.json").write_text(text, "utf-8")
    charts = [chart for section in sections.values() for chart in section.charts if chart.bars]
    picture = folder / f"{name}.svg"
    if charts:
        picture.write_text(svg(charts, "events/s"), "utf-8")
    else:
        picture.unlink(missing_ok=True)
    page = markdown(head, list(sections.values()), picture.name if charts else None)
    (folder / f"{name}.md").write_text(page, "utf-8")
