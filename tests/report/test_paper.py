"""A report on paper, by the programs that are there, and what is said where none is."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import made_up_results as made_up
import pytest

from tinydeploy import verbs
from tinydeploy.errors import ToolError
from tinydeploy.report import html, paper, report_files
from tinydeploy.results.setting import BoardFit

MOTION = Path(__file__).resolve().parents[2] / "models" / "motion"
BROWSER = next(filter(None, map(shutil.which, paper.BROWSERS)), None)


def page() -> str:
    result = made_up.made_up(made_up.mobilenet_v1(2), accuracy=made_up.classifier())
    boards = tuple(BoardFit(f"board_{number}", "fits") for number in range(40))
    return html.render(dataclasses.replace(result, other_boards=boards))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to print with")
def test_three_pages_with_nothing_collapsed() -> None:
    made = paper.printer()(page())
    assert made.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", made)) == 3


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to print with")
def test_a_run_writes_its_report_as_pdf_and_takes_an_old_one_away(tmp_path: Path) -> None:
    asked = {"samples": 1, "out": tmp_path, "other_boards": False}
    verbs.run(MOTION, pdf=True, **asked)  # type: ignore[arg-type]
    assert (tmp_path / report_files.PDF).read_bytes().startswith(b"%PDF-")
    verbs.run(MOTION, **asked)  # type: ignore[arg-type]
    assert not (tmp_path / report_files.PDF).exists()
    (tmp_path / report_files.PDF).write_text("mine")
    verbs.run(MOTION, **asked)  # type: ignore[arg-type]
    assert (tmp_path / report_files.PDF).read_text() == "mine"


def test_where_nothing_prints_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(paper.util, "find_spec", lambda _name: None)
    with pytest.raises(ToolError, match="neither Chromium nor WeasyPrint") as told:
        verbs.run(MOTION, pdf=True, out=tmp_path / "out")
    assert "\n" not in told.value.message and "pip install weasyprint" in told.value.hint
    assert not (tmp_path / "out").exists()


def test_a_browser_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\necho no display >&2\necho and more >&2\nexit 1\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ToolError, match=r"^chromium made no PDF: no display$"):
        paper.printer()("")


def test_colours_of_paper_stand_in_pictures() -> None:
    drawn = paper._with_colours(page()).partition("<main>")[2]
    assert "var(--" not in drawn and "#0d6a6a" in drawn
