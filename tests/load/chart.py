"""The chart: for each scenario a group of bars, in responses per second, the service first."""

import statistics
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from tests.load.peers import OURS

Row = dict[str, Any]

SHOWN = ("read-me", "read-profile", "edit-profile", "list-first", "refresh", "mix")
TITLE = "Responses per second: median of all rounds; thin line: slowest to fastest round; p99: 99 % were faster"
COLOURS = {OURS: "#1b6ca8", "ceiling": "#b8c4cc"}
OTHER_COLOUR = "#d9a441"
WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 860, 130, 190, 16, 34, 44


def draw(rows: Sequence[Row]) -> str:
    """Draw the results as SVG. Works without results, too."""
    groups = [
        (name, [row for row in rows if row["scenario"] == name and row["rates"] and not row["variant"]])
        for name in SHOWN
    ]
    groups = [(name, bars) for name, bars in groups if bars]
    longest = max((statistics.median(row["rates"]) for _, bars in groups for row in bars), default=1.0) or 1.0
    parts: list[str] = []
    y = HEAD
    for name, bars in groups:
        parts.append(_text(8, y + 2, name, weight="bold"))
        y += 8
        for row in bars:
            parts += _bar(row, y, longest)
            y += BAR + 4
        y += GAP - 8
    title = _text(8, 22, TITLE, size=14)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">'
    background = f'<rect width="{WIDTH}" height="{y}" fill="white"/>'
    return "\n".join([head, background, title, *parts, "</svg>", ""])


def _bar(row: Row, y: int, longest: float) -> list[str]:
    scale = (WIDTH - LEFT - RIGHT) / longest
    median = statistics.median(row["rates"])
    low, high = LEFT + min(row["rates"]) * scale, min(LEFT + max(row["rates"]) * scale, WIDTH - 8)
    colour = COLOURS.get(row["peer"], OTHER_COLOUR)
    middle = y + BAR / 2
    label = f"{median:,.0f}" + (f" · p99 {statistics.median(row['p99']):,.0f} ms" if row["p99"] else "")
    return [
        _text(LEFT - 8, y + 12, row["case"], anchor="end"),
        f'<rect x="{LEFT}" y="{y}" width="{max(median * scale, 1):.1f}" height="{BAR}" fill="{colour}"/>',
        f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#333" stroke-width="1.5"/>',
        _text(round(max(high, LEFT + median * scale)) + 8, y + 12, label),
    ]


def _text(x: int, y: int, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 12) -> str:
    font = f'font-family="sans-serif" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x}" y="{y}" {font} fill="#222">{escape(text)}</text>'
