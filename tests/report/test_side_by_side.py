"""Several runs of one model: the figures joined by key, on the console and as a page."""

import dataclasses
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import made_up_results as made_up
import pytest
from rich.console import Console

from tinydeploy.report import console, facts, html, report_files
from tinydeploy.results.result import Result, schema
from tinydeploy.results.setting import LibraryInfo

HOSTILE = '<b>[bold]"&'


@pytest.fixture
def results() -> tuple[Result, Result]:
    library = LibraryInfo(
        "TFLite Micro",
        HOSTILE,
        {"CONV_2D": "CMSIS-NN", "RESHAPE": "reference", "ADD": "CMSIS-NN"},
        ("-O2", "-DNDEBUG"),
    )
    other = made_up.made_up(searched=True, accuracy=made_up.classifier())
    return made_up.made_up(), dataclasses.replace(other, library=library, warnings=(HOSTILE,))


def test_figures_are_joined_by_key(results: tuple[Result, Result]) -> None:
    rows = {row.key: row.facts for row in facts.side_by_side(results)}
    assert [fact.value for fact in rows["instructions"] if fact] == [
        next(fact.value for fact in facts.facts(result) if fact.key == "instructions") for result in results
    ]
    assert rows["accuracy"][0] is None and rows["accuracy"][1] is not None


def test_kernels_by_their_maker(results: tuple[Result, Result]) -> None:
    library = results[1].library
    assert library is not None
    assert facts.kernels(library) == "CMSIS-NN: CONV_2D, ADD; reference: RESHAPE"


def test_the_library_is_told_wherever_a_result_is(results: tuple[Result, Result]) -> None:
    jsonschema.validate(results[1].to_json(), schema())
    assert results[1].to_json()["library"]["kernels"]["RESHAPE"] == "reference"
    assert "library" not in results[0].to_json()
    for shown in (console.summary(results[1]), console.comparison(results)):
        text = io.StringIO()
        Console(file=text, width=200).print(shown)
        assert HOSTILE in text.getvalue()
        assert "CMSIS-NN: CONV_2D, ADD" in text.getvalue()
    page = html.render(results[1])
    assert "CMSIS-NN: CONV_2D, ADD" in page and '<code class="flag">-DNDEBUG</code>' in page
    text = io.StringIO()
    Console(file=text, width=200).print(console.summary(results[1]))
    assert "-O2 -DNDEBUG" in text.getvalue()


def test_the_page_is_well_formed_and_links_to_each_run(results: tuple[Result, Result]) -> None:
    page = ElementTree.fromstring(html.render_runs(results).replace("<!DOCTYPE html>", ""))
    assert [link.get("href") for link in page.iter("a")] == ["aot/report.html", "tflm/report.html"]
    tables = list(page.iter("table"))
    assert len(list(tables[1].iter("tr"))) == 1 + len(results[0].model.ops)


def test_runs_on_a_board_are_compared_by_their_cycles(results: tuple[Result, Result]) -> None:
    measured = [made_up.on_a_board(result) for result in results]
    page, text = html.render_runs(measured), io.StringIO()
    Console(file=text, width=200).print(console.comparison(measured))
    for shown in (page, text.getvalue()):
        assert "they are not time" not in shown and "cycles" in shown
    assert f"{measured[0].per_op[0].count:,}" in page
    assert "they are not time" in html.render_runs(results)


def test_the_files_of_several_runs(results: tuple[Result, Result], tmp_path: Path) -> None:
    report_files.write_runs(results, tmp_path)
    written = json.loads((tmp_path / "runs.json").read_text())
    assert written["schema"] == "tinydeploy.runs/1"
    assert written["runs"] == [result.to_json() for result in results]
    assert (tmp_path / "report.html").is_file()
