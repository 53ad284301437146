"""Text for a terminal: lines that no name of an account can forge."""

from collections.abc import Sequence


def printable(value: object) -> str:
    """`value` on one line; what is not printable is escaped."""
    text = "–" if value in (None, "") else str(value)
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def columns(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows as lines with aligned columns."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
