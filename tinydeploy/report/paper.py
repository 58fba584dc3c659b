"""A page as PDF, by whichever program is there that can print one: Chromium, or WeasyPrint."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib import util
from pathlib import Path

from tinydeploy.errors import ToolError

Printer = Callable[[str], bytes]
"""Takes a page, and gives the PDF. Raises ToolError."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_TIMEOUT = 120.0  # seconds
_ZOOM = 0.62  # of report.css on paper, which WeasyPrint does not read
_PAPER = f"@page {{ size: {210 / _ZOOM:.1f}mm {297 / _ZOOM:.1f}mm; margin: {11 / _ZOOM:.1f}mm }}"


def printer() -> Printer:
    """What prints here. Raises ToolError where nothing does."""
    for name in BROWSERS:
        if (found := shutil.which(name)) is not None:
            return lambda page: _by_browser(found, page)
    if util.find_spec("weasyprint") is not None:
        return _by_weasyprint
    raise ToolError(
        "neither Chromium nor WeasyPrint is here, of which one makes the PDF",
        "apt-get install chromium, or pip install weasyprint",
    )


def _by_browser(program: str, page: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        source, made = Path(scratch) / "report.html", Path(scratch) / "report.pdf"
        source.write_text(page, encoding="utf-8")
        # A browser that runs as root wants to be told that it may; the page has no script.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        options += [
            "--headless",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={scratch}/profile",
        ]
        command = [program, *options, f"--print-to-pdf={made}", source.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT)
            return made.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            told = [*(done.stderr.splitlines() if "done" in locals() else ()), str(error)]
            raise ToolError(f"{Path(program).name} made no PDF: {told[0]}") from error


def _by_weasyprint(page: str) -> bytes:
    try:
        import weasyprint
    except (ImportError, OSError) as error:  # it needs Pango, a library of the system
        raise ToolError(
            f"WeasyPrint cannot be used: {error}".splitlines()[0], "apt-get install chromium"
        ) from error
    sheet = weasyprint.CSS(string=_PAPER)
    made: bytes = weasyprint.HTML(string=_with_colours(page)).write_pdf(stylesheets=[sheet], zoom=_ZOOM)
    return made


def _with_colours(page: str) -> str:
    """The page with paper's colours in place of their names, which WeasyPrint does not know in a picture."""
    _, _, printed = page.partition("@media print {")
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", printed.partition("}")[0]))
    return re.sub(r"var\(--([\w-]+)\)", lambda found: colours.get(found[1], found[0]), page)
