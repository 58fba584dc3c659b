"""Tables and lists for a console of any width: what is to be copied is never cut, and never wrapped.

On a narrow console a table drops columns, and a list wraps at its words. What still has no room goes past
the edge, in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_GAP = 2  # columns between what stands side by side


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and whether its cells stand at the right."""

    heading: str = ""
    right: bool = False


class Columns:
    """A table whose cells stay whole, but for those of the last column if that is `prose`.

    `spare` are numbers of columns, the one that goes first where there is no room for all first.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[str | Text]],
        *,
        spare: Sequence[int] = (),
        prose: bool = False,
        title: str | Text = "",
    ) -> None:
        self._columns = columns
        self._rows = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
        self._spare = spare
        self._prose = prose
        self._title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich."""
        if self._title:
            title = Text(self._title) if isinstance(self._title, str) else self._title.copy()
            title.stylize("bold")
            yield title
        for dropped in range(len(self._spare) + 1):
            kept = [number for number in range(len(self._columns)) if number not in self._spare[:dropped]]
            table, least = self._table(kept)
            if least <= options.max_width:
                break
        natural = Measurement.get(console, options.update(width=1 << 16), table).maximum
        width = max(least, min(natural, options.max_width))
        yield from console.render(table, options.update(width=width))

    def _table(self, kept: Sequence[int]) -> tuple[Table, int]:
        """The table of these columns, and the least width that cuts nothing."""
        headed = any(column.heading for column in self._columns)
        table = Table(
            box=None, show_header=headed, header_style="dim", padding=(0, _GAP, 0, 0), pad_edge=False
        )
        least = 0
        for number in kept:
            column = self._columns[number]
            wraps = self._prose and number == len(self._columns) - 1
            cells = [row[number].plain for row in self._rows] + [column.heading]
            pieces = [piece for cell in cells for piece in (cell.split() if wraps else cell.split("\n"))]
            width = max(map(cell_len, pieces), default=0)
            table.add_column(
                column.heading,
                justify="right" if column.right else "left",
                no_wrap=not wraps,
                min_width=width,
                overflow="crop",  # which nothing has to be: the column is as wide as its widest piece
            )
            least += width + (_GAP if number != kept[-1] else 0)
        for row in self._rows:
            table.add_row(*(row[number] for number in kept))
        return table, least


class Facts:
    """Names and what they are, one below the other.

    A string wraps at its spaces; of a tuple each part stays whole: a path, a command.
    """

    def __init__(self, rows: Iterable[tuple[str, str | tuple[str, ...]]]) -> None:
        self._rows = [(label, value.split() if isinstance(value, str) else [*value]) for label, value in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich."""
        indent = max((cell_len(label) for label, _ in self._rows), default=0) + _GAP
        for label, parts in self._rows:
            for number, line in enumerate(filled(parts, options.max_width - indent)):
                begin = label if number == 0 else ""
                yield Text.assemble(
                    (begin + " " * (indent - cell_len(begin)), "dim"), line, no_wrap=True, overflow="ignore"
                )


class Prose:
    """Sentences that wrap at their spaces, and nowhere else."""

    def __init__(self, sentences: str, style: str = "") -> None:
        self._sentences = sentences
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich."""
        for line in filled(self._sentences.split(), options.max_width):
            yield Text(line, self._style, no_wrap=True, overflow="ignore")


def filled(parts: Sequence[str], width: int) -> list[str]:
    """The parts in lines of at most so many cells, each part whole; at least one line."""
    lines = [""]
    for part in filter(None, parts):
        longer = f"{lines[-1]} {part}" if lines[-1] else part
        if lines[-1] and cell_len(longer) > width:
            lines.append(part)
        else:
            lines[-1] = longer
    return lines
