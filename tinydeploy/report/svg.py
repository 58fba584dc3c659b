"""Inline SVG of matplotlib's figures, coloured by the page's CSS variables."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from xml.etree import ElementTree

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinydeploy.report.families import FAMILIES

# matplotlib wants colours, the page wants CSS variables, so that light and dark need one picture:
# each variable is drawn in a colour of its own and replaced in the SVG.
COLOURS = {
    name: f"#0a0b{number:02x}"
    for number, name in enumerate([*FAMILIES, "ink", "muted", "rule", "card", "accent", "on-accent", "bad"])
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tinydeploy",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.parse_math": False,  # a "$" in a tensor's name is a dollar sign
    "text.color": COLOURS["ink"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "figure.dpi": 72,  # one user unit is one CSS pixel at full width
}


def inline(figure: Figure, prefix: str, label: str, titles: Mapping[str, str]) -> str:
    """The figure as an <svg> element to put into a page.

    `titles` gives elements, by their gid, a text that browsers show on hover. Ids that nothing refers
    to go, the others get `prefix`, so that several figures can stand in one page.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser picks the font, not matplotlib
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        for child in list(element):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                element.remove(child)
    referenced = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', ElementTree.tostring(root, "unicode")))
    kept = {name for pair in referenced for name in pair if name}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # in HTML an <svg> needs no namespace
        gid = element.get("id", "")
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if gid in kept:
            attributes["id"] = f"{prefix}-{gid}"
        else:
            attributes.pop("id", None)
        if "href" in attributes:
            attributes["href"] = attributes["href"].replace("#", f"#{prefix}-", 1)
        if "clip-path" in attributes:
            attributes["clip-path"] = attributes["clip-path"].replace("#", f"#{prefix}-", 1)
        if "style" in attributes:
            attributes["style"] = _css(attributes["style"])
        element.attrib.clear()
        element.attrib.update(attributes)
        if gid in titles:
            title = ElementTree.Element("title")
            title.text = titles[gid]
            element.insert(0, title)
    root.attrib.clear()
    root.attrib.update(
        {"viewBox": f"0 0 {figure.get_figwidth() * 72:.0f} {figure.get_figheight() * 72:.0f}"}
        | {"role": "img", "aria-label": label}
    )
    return ElementTree.tostring(root, "unicode")


def either(wide: str, narrow: str) -> str:
    """Two pictures of the same, of which the page shows the one that it has room for."""
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def _css(style: str) -> str:
    for name, colour in COLOURS.items():
        style = style.replace(colour, f"var(--{name})")
    # Only the size is matplotlib's business, the page chooses the font.
    return re.sub(r"font: (?:[\w-]+ )*([\d.]+px)[^;]*", r"font-size: \1", style)


def bare_axes(figure: Figure, box: tuple[float, float, float, float], ylim: tuple[float, float]) -> Axes:
    """Bare axes at `box` = left, top, width, height in pixels from the top left corner."""
    width, height = figure.get_figwidth() * 72, figure.get_figheight() * 72
    left, top, w, h = box
    axes = figure.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))
    axes.set_ylim(*ylim)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0, pad=3, labelsize=9, colors=COLOURS["muted"])
    return axes


def text_width(label: str, size: float) -> float:
    """About how wide a label gets, in pixels, whatever sans-serif font the browser has."""
    return size * sum(0.7 if char.isupper() or char in "_×" else 0.58 for char in label)
