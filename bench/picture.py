"""Bar charts as SVG: a contender's bar is its median, the line on it goes from its lowest to its highest round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, LABEL, VALUE = 860, 190, 110
ROW, BAR, HEAD, GAP = 26, 16, 34, 18


class Bar(NamedTuple):
    label: str
    value: float
    low: float
    high: float
    ours: bool = False


class Chart(NamedTuple):
    title: str
    bars: Sequence[Bar]


def svg(charts: Sequence[Chart], unit: str) -> str:
    """The charts below each other, each with a scale of its own from 0; readable on light and dark pages."""
    height = sum(HEAD + ROW * len(chart.bars) + GAP for chart in charts)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'role="img" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#222}.b{fill:#9aa7b4}.o{fill:#1a7f64}.w{stroke:#222;stroke-width:1.5}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.w{stroke:#ddd}}</style>",
    ]
    top = 0
    for chart in charts:
        lines.append(f'<text x="0" y="{top + 20}" font-weight="bold">{escape(chart.title)}</text>')
        scale = (WIDTH - LABEL - VALUE) / max((bar.high for bar in chart.bars), default=1.0)
        for index, bar in enumerate(chart.bars):
            lines += _bar(bar, top + HEAD + ROW * index, scale, unit)
        top += HEAD + ROW * len(chart.bars) + GAP
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(bar: Bar, top: int, scale: float, unit: str) -> list[str]:
    middle, base = top + BAR / 2, top + BAR - 3
    low, high = LABEL + bar.low * scale, LABEL + bar.high * scale
    width, kind = bar.value * scale, "o" if bar.ours else "b"
    return [
        f'<text x="{LABEL - 8}" y="{base}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect class="{kind}" x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}">'
        f"<title>{escape(f'{bar.label}: {bar.value:,.0f} {unit}')}</title></rect>",
        f'<line class="w" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text x="{high + 6:.1f}" y="{base}">{bar.value:,.0f}</text>',
    ]
