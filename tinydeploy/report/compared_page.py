"""A comparison as one self-contained HTML page, with the report's look: ratios as bars, ops, flips."""

from __future__ import annotations

from tinydeploy.report import compared, html
from tinydeploy.results.compare import Comparison


def render(found: Comparison) -> str:
    """The page. Every string of the results is escaped; the page also parses as XML."""
    ops = [(op, compared.op_cells(op)) for op in found.ops]
    return html.page(
        "compared.html.j2",
        found=found,
        figures=[(figure, compared.cells(figure)) for figure in found.figures],
        sentences=list(compared.sentences(found)),
        changed=[pair for pair in ops if pair[0].changed],
    )
