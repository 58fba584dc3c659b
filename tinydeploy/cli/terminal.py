"""The two consoles: what is printed there steers nothing, and is neither cut nor padded."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment, SegmentLines
from rich.text import Text

from tinydeploy.report.printable import printable

_NO_WIDTH = 1 << 16  # cells, of a pipe or a file
_USUAL_WIDTH = 80  # of a terminal that does not know its own


class _Console(Console):
    """Strings are shown as they are: no markup, and no character that would steer the terminal.

    A pipe or a file has no width: nothing is wrapped there.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
        if self._width == 0:  # COLUMNS=0 says that nobody knows
            self._width = None

    @property
    def size(self) -> ConsoleDimensions:
        """See rich."""
        if not self.file.isatty():
            return ConsoleDimensions(_NO_WIDTH, 25)
        found = super().size
        return found if found.width > 0 else ConsoleDimensions(_USUAL_WIDTH, found.height)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        """See rich."""
        self._width, self._height = new

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See rich."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_harmless(segment.text), segment.style)


def _harmless(text: str) -> str:
    """The text, as wide as before, with "\ufffd" or nothing for what could steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or printable(c) == c else "\ufffd" * cell_len(c) for c in text)


stdout = _Console()
stderr = _Console(stderr=True)


def write(renderable: RenderableType) -> None:
    """Writes to stdout; a string as it is, in one line. No line ends in spaces."""
    shown = Text(renderable, no_wrap=True, overflow="ignore") if isinstance(renderable, str) else renderable
    lines = [_stripped(line) for line in Segment.split_lines(stdout.render(shown))]
    stdout.print(SegmentLines(lines, new_lines=True), crop=False, end="")


def _stripped(line: list[Segment]) -> list[Segment]:
    """The line without the spaces at its end."""
    while line and not line[-1].text.strip():
        line.pop()
    if line:
        line[-1] = Segment(line[-1].text.rstrip(), line[-1].style)
    return line
