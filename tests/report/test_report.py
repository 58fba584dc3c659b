"""The console's table, the HTML page, and the files of a run."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import made_up_results as made_up
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tinydeploy.errors import UsageError
from tinydeploy.report import console, facts, figures, html, text
from tinydeploy.report.report_files import check_writable, write
from tinydeploy.results.measured import Accuracy, ArenaBuffer, ClassFigure
from tinydeploy.results.result import Result
from tinydeploy.results.setting import Symbol

HOSTILE = '<script>alert("1")</script> $\\frac{$ & \'"]]> {{ 7*7 }} \x00\x1b[31m\u202e [bold]日本'


def hostile() -> Result:
    """Strings from outside that try to become markup, a formula, a template or a terminal's command."""
    good = made_up.made_up(made_up.dense_three(), accuracy=made_up.classifier(3))
    accuracy = made_up.classifier(3)
    return dataclasses.replace(
        good,
        model=dataclasses.replace(
            good.model,
            path=f"models/{HOSTILE}.tflite",
            ops=tuple(dataclasses.replace(op, op=HOSTILE) for op in good.model.ops),
        ),
        target=dataclasses.replace(good.target, version=HOSTILE, note=HOSTILE),
        build=dataclasses.replace(
            good.build, flags=(HOSTILE,), largest_symbols=(Symbol(HOSTILE, 9, "flash"),)
        ),
        arena=dataclasses.replace(
            good.arena,
            buffers=tuple(dataclasses.replace(buffer, label=HOSTILE) for buffer in good.arena.buffers),
        ),
        per_op=tuple(dataclasses.replace(cost, op=HOSTILE) for cost in good.per_op),
        accuracy=dataclasses.replace(
            accuracy,
            per_class=tuple(dataclasses.replace(figure, label=HOSTILE) for figure in accuracy.per_class),
        ),
        warnings=(HOSTILE,),
        provenance=dataclasses.replace(
            good.provenance, versions={HOSTILE: HOSTILE}, data=HOSTILE, made=HOSTILE, licence=HOSTILE
        ),
    )


def many_classes() -> Result:
    return made_up.made_up(accuracy=made_up.classifier(100))


RESULTS: dict[str, Callable[[], Result]] = {
    "31 ops": made_up.made_up,
    "68 ops, classifier": lambda: made_up.made_up(made_up.mobilenet_v2(), accuracy=made_up.classifier()),
    "300 ops": lambda: made_up.made_up(made_up.mobilenet_v2(80)),
    "3 ops, regression": made_up.regression,
    "searched, unlabelled": lambda: made_up.made_up(searched=True, labelled=False),
    "100 classes": many_classes,
    "flawed": made_up.flawed,
    "bare": lambda: dataclasses.replace(made_up.made_up(made_up.dense_three()), parity=None, per_op=()),
    "hostile": hostile,
}


@pytest.fixture(params=RESULTS, scope="module")
def page(request: pytest.FixtureRequest) -> str:
    return html.render(RESULTS[request.param]())


def shown(page: str) -> str:
    """The page's text, without its style sheet."""
    root = ElementTree.fromstring(page)
    for style in root.iter("style"):
        style.text = ""
    return " ".join("".join(root.itertext()).split())


def on_console(result: Result) -> str:
    output = Console(width=140, force_terminal=False)
    with output.capture() as capture:
        output.print(console.summary(result))
    return capture.get()


class TestPage:
    def test_is_well_formed(self, page: str) -> None:
        assert page.startswith("<!DOCTYPE html>")
        assert ElementTree.fromstring(page).tag == "html"

    def test_runs_and_loads_nothing(self, page: str) -> None:
        root = ElementTree.fromstring(page)
        tags = {element.tag for element in root.iter()}
        assert not tags & {"script", "link", "iframe", "object", "embed", "image", "base", "form"}
        for element in root.iter():
            for name, value in element.attrib.items():
                assert not name.startswith("on")
                if name == "src":
                    assert re.fullmatch(r"data:image/png;base64,[\w+/=]+", value)
                if name in ("href", "clip-path"):
                    assert re.fullmatch(r"(url\()?#[\w-]+\)?", value)
        css = "".join(style.text or "" for style in root.iter("style"))
        assert "url(" not in css
        assert "@import" not in css
        assert not re.search(r"https?://", page)
        assert not re.search(r"""["'(]//""", page)

    def test_ids_are_unique_and_referenced(self, page: str) -> None:
        root = ElementTree.fromstring(page)
        ids = Counter(element.get("id") for element in root.iter() if element.get("id"))
        assert all(count == 1 for count in ids.values())
        for element in root.iter():
            for name in ("href", "clip-path"):
                if name in element.attrib:
                    assert element.attrib[name].removeprefix("url(").strip("#)") in ids

    def test_pictures_have_a_name_and_the_colours_of_the_page(self, page: str) -> None:
        root = ElementTree.fromstring(page)
        pictures = list(root.iter("svg"))
        assert pictures
        for picture in pictures:
            assert picture.get("role") == "img"
            assert picture.get("aria-label")
            fixed = re.findall(r"#[0-9a-f]{6}", ElementTree.tostring(picture, "unicode"))
            assert not fixed
        css = "".join(style.text or "" for style in root.iter("style"))
        for variable in set(re.findall(r"var\((--[\w-]+)\)", page)):
            assert css.count(f"{variable}:") >= 3, variable  # light, dark and print

    def test_headings_go_down_by_one(self, page: str) -> None:
        levels = [int(e.tag[1]) for e in ElementTree.fromstring(page).iter() if re.fullmatch("h[1-6]", e.tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_same_result_gives_the_same_page() -> None:
    assert html.render(made_up.flawed()) == html.render(made_up.flawed())


def test_hostile_strings_stay_text() -> None:
    page = html.render(hostile())
    assert "<script" not in page
    assert '<script>alert("1")</script> $\\frac{$' in shown(page)
    assert "{{ 7*7 }}" in shown(page)
    assert "\ufffd" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", page)


def test_how_the_model_was_made_and_its_licence_are_told() -> None:
    plain = made_up.made_up()
    told = dataclasses.replace(plain.provenance, made="tinydeploy quantize net.tflite", licence="MIT")
    result = dataclasses.replace(plain, provenance=told)
    assert "; made by tinydeploy quantize net.tflite; licence: MIT" in shown(html.render(result))
    lines = [line.split() for line in on_console(result).splitlines()]
    assert ["Made", "by", "tinydeploy", "quantize", "net.tflite"] in lines and ["Licence", "MIT"] in lines
    assert "Licence" not in on_console(plain)


def test_page_shows_the_figures() -> None:
    result = made_up.made_up(made_up.mobilenet_v2(), accuracy=made_up.classifier())
    content = shown(html.render(result))
    for fact in facts.facts(result):
        assert fact.label in content
        assert fact.value in content
        assert fact.detail in content
    assert facts.verdict(result) in content
    assert "they are not time" in content
    assert " ms" not in content
    for op in result.model.ops:
        assert f"{op.index} {op.op}" in content
    for buffer in result.arena.buffers:
        assert f"{buffer.label}: {buffer.bytes:,} B at offset {buffer.offset:,}" in content
    for symbol in result.build.largest_symbols:
        assert symbol.name in content
    for version in result.provenance.versions.values():
        assert version in content
    assert "6 samples of class 3 taken for class 4" in content
    assert "2 samples of class 3 taken for class 6" in content
    assert content.count("taken for") == 100


def test_a_diagonal_parts_an_output_from_the_input_that_it_overwrites() -> None:
    result = made_up.made_up(made_up.dense_three())

    def triangles(*buffers: ArenaBuffer) -> int:
        svg = figures.schedule(
            dataclasses.replace(result, arena=dataclasses.replace(result.arena, buffers=buffers))
        )
        return len(re.findall(r'd="M [^LMz"]+ L [^LMz"]+ L [^LMz"]+ z', svg))

    dying = ArenaBuffer("a", 64, 640, -1, 0)
    assert triangles(dying, ArenaBuffer("b", 0, 512, 0, 1)) == 1
    assert triangles(dying, ArenaBuffer("b", 0, 64, 0, 1)) == 0
    assert triangles(dying, ArenaBuffer("b", 0, 512, 1, 2)) == 0


def test_page_without_a_plan_has_no_map() -> None:
    content = shown(html.render(made_up.made_up(searched=True)))
    assert "offset in KiB" not in content
    assert "found by search" in content


def test_page_of_a_regressor_has_no_classes() -> None:
    content = shown(html.render(made_up.regression()))
    assert "Confusion" not in content
    assert "By class" not in content
    assert "Root mean squared error 0.0523, R² 0.871." in content


def test_page_of_many_classes_lists_the_mistakes() -> None:
    content = shown(html.render(many_classes()))
    assert "Confusion matrix" not in content
    assert "Most frequent mistakes" in content
    assert "class 99" in content


class TestFacts:
    def good(self, result: Result) -> dict[str, bool | None]:
        return {fact.key: fact.good for fact in facts.facts(result)}

    def test_a_sound_run(self) -> None:
        result = made_up.made_up(accuracy=made_up.classifier())
        assert self.good(result) == {
            "instructions": None,
            **dict.fromkeys(("flash", "ram", "arena", "stack", "accuracy", "parity"), True),
        }
        assert facts.verdict(result) == (
            "Fits the board. Every output is identical to TFLite Micro’s. "
            "Accuracy (top-1) 94.5 %, the same as the reference."
        )

    def test_a_flawed_run(self) -> None:
        result = made_up.flawed()
        good = self.good(result)
        assert [key for key, value in good.items() if value is False] == ["flash", "accuracy", "parity"]
        assert facts.verdict(result) == (
            "Exceeds its budget: Flash. 98.7 % of the outputs are identical to TFLite Micro’s. "
            "Accuracy (top-1) 94.5 %, where the reference has 98.1 %."
        )

    def test_a_full_stack_is_an_overrun(self) -> None:
        result = dataclasses.replace(made_up.made_up(), stack_bytes=8192)
        assert self.good(result)["stack"] is False

    @pytest.mark.parametrize(
        ("method", "passes_at", "fails_at", "good"),
        [
            ("searched", 1024, 1008, True),
            ("searched", 1024, None, None),
            ("planned", 1024, None, True),
            ("planned", None, None, None),
            ("planned", None, 1024, False),
        ],
    )
    def test_the_arena_needs_its_proof(
        self, method: str, passes_at: int | None, fails_at: int | None, good: bool | None
    ) -> None:
        result = made_up.made_up()
        arena = dataclasses.replace(
            result.arena, bytes=1024, method=method, passes_at=passes_at, fails_at=fails_at
        )
        assert self.good(dataclasses.replace(result, arena=arena))["arena"] is good

    @pytest.mark.parametrize(
        ("metric", "value", "reference", "good"),
        [
            ("top1", 0.98, 0.97, True),
            ("top1", 0.97, 0.98, False),
            ("mae", 0.1, 0.2, True),
            ("rmse", 0.2, 0.1, False),
            ("mae", 0.2, None, None),
        ],
    )
    def test_accuracy_is_held_against_the_reference(
        self, metric: str, value: float, reference: float | None, good: bool | None
    ) -> None:
        accuracy = Accuracy(metric, value, 10, reference)
        assert self.good(made_up.made_up(accuracy=accuracy))["accuracy"] is good


class TestConsole:
    def test_shows_the_figures(self) -> None:
        result = made_up.flawed()
        output = on_console(result)
        for fact in facts.facts(result):
            assert f"{fact.label} " in output
            assert f" {fact.value} " in output
            assert fact.detail in output
        assert facts.NOT_TIME in output
        assert "mps2-an386, Cortex-M4F, 25 MHz" in output
        assert "qemu 7.2.0, link semihosting" in output
        for warning in result.warnings:
            assert warning in output

    def test_shows_the_costliest_ops_first(self) -> None:
        result = made_up.made_up()
        output = on_console(result)
        by_cost = sorted(result.per_op, key=lambda cost: -cost.instructions)
        rows = [line.split()[0] for line in output.split("Costliest ops")[1].splitlines()[2:10]]
        assert rows == [str(cost.index) for cost in by_cost[:8]]

    def test_hostile_strings_stay_text(self) -> None:
        output = on_console(hostile())
        assert "\x1b" not in output
        assert "\u202e" not in output
        assert "[bold]日本" in output

    @pytest.mark.parametrize("name", RESULTS)
    def test_takes_every_result(self, name: str) -> None:
        assert "Instructions per inference" in on_console(RESULTS[name]())


class TestText:
    @pytest.mark.parametrize(
        ("size", "written"),
        [(0, "0 B"), (772, "772 B"), (1024, "1 KiB"), (54_000, "52.7 KiB"), (4 << 20, "4,096 KiB")],
    )
    def test_kib(self, size: int, written: str) -> None:
        assert text.kib(size) == written

    @pytest.mark.parametrize(
        ("count", "written"),
        [(0, "0"), (3600, "3,600"), (583_000, "0.583 M"), (7_700_000, "7.70 M"), (107_400_000, "107 M")],
    )
    def test_millions(self, count: int, written: str) -> None:
        assert text.millions(count) == written

    @pytest.mark.parametrize(
        ("ratio", "written"),
        [
            (0, "0 %"),
            (1, "100 %"),
            (0.984, "98.4 %"),
            (0.99999, "> 99.9 %"),
            (1e-9, "< 0.1 %"),
            (8.88, "888.0 %"),
        ],
    )
    def test_percent(self, ratio: float, written: str) -> None:
        assert text.percent(ratio) == written

    @given(st.floats(0, 1))
    def test_percent_reads_100_only_for_all(self, ratio: float) -> None:
        assert (text.percent(ratio) == "100 %") == (ratio == 1)
        assert (text.percent(ratio) == "0 %") == (ratio == 0)
        assert "100.0" not in text.percent(ratio)

    @given(st.text(), st.integers(3, 40))
    def test_shorten(self, name: str, width: int) -> None:
        assert len(text.shorten(name, width)) <= width
        if len(name) <= width:
            assert text.shorten(name, width) == name

    @given(st.text())
    def test_printable_text_fits_into_xml(self, name: str) -> None:
        element = ElementTree.Element("p")
        element.text = text.printable(name)
        assert ElementTree.fromstring(ElementTree.tostring(element, "unicode")).text == (element.text or None)

    def test_shape(self) -> None:
        assert text.shape((1, 48, 48, 16)) == "48×48×16"
        assert text.shape((1,)) == "1"
        assert text.shape(()) == "scalar"


class TestWrite:
    def test_writes_both_files(self, tmp_path: Path) -> None:
        result = made_up.regression()
        folder = tmp_path / "made" / "here"
        write(result, folder)
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["report.html", "result.json", "tinydeploy-files.json"]
        assert json.loads((folder / "result.json").read_text()) == result.to_json()
        assert (folder / "report.html").read_text() == html.render(result)

    def test_replaces_what_was_there(self, tmp_path: Path) -> None:
        write(made_up.made_up(), tmp_path)
        write(made_up.regression(), tmp_path)
        assert json.loads((tmp_path / "result.json").read_text()) == made_up.regression().to_json()
        assert len(list(tmp_path.iterdir())) == 3

    def test_a_folder_that_cannot_be_is_a_users_mistake(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match="cannot write to"):
            write(made_up.regression(), tmp_path / "file" / "folder")
        with pytest.raises(UsageError, match="file is not a folder"):
            check_writable(tmp_path / "file" / "folder")

    def test_asking_whether_a_folder_can_be_written_makes_nothing(self, tmp_path: Path) -> None:
        check_writable(tmp_path / "made" / "here")
        check_writable(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_a_failed_write_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(UsageError, match="No space left on device"):
            write(made_up.regression(), tmp_path)
        assert not list(tmp_path.iterdir())


def test_what_draws_nothing_does_not_load_matplotlib() -> None:
    code = (
        "import sys; import tinydeploy.report, tinydeploy.report.console; print('matplotlib' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert done.stdout.strip() == "False"


def test_one_class_without_samples() -> None:
    accuracy = dataclasses.replace(
        made_up.classifier(2),
        per_class=(ClassFigure("yes", 0, 0, 0.0, None, 0.0), ClassFigure("no", 100, 93, 1.0, 0.93, 0.964)),
        confusion=((0, 0), (7, 93)),
    )
    content = shown(html.render(made_up.made_up(accuracy=accuracy)))
    assert "7 samples of no taken for yes" in content
