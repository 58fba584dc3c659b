"""Results side by side, the statistics of their samples, and baselines."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import made_up_results as made_up
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import tinydeploy
from tinydeploy.errors import UsageError
from tinydeploy.evaluate.baselines import Baselines
from tinydeploy.report import compared, compared_page
from tinydeploy.results import baseline, stored
from tinydeploy.results.compare import Comparison, compare, short_names
from tinydeploy.results.estimated import Estimate
from tinydeploy.results.measured import Count, Gate, Spread
from tinydeploy.results.result import Result
from tinydeploy.results.statistics import interval, mcnemar
from tinydeploy.results.verdict import failures

HOSTILE = 'a<b>&"|\x1b[31m`[x](y)'


def right(result: Result, answers: str) -> Result:
    assert result.accuracy is not None
    share = answers.count("1") / len(answers)
    quality = dataclasses.replace(
        result.accuracy, right=answers, value=share, reference=share, samples=len(answers)
    )
    return dataclasses.replace(result, accuracy=quality)


@pytest.fixture(scope="module")
def first() -> Result:
    return right(made_up.made_up(accuracy=made_up.classifier()), "1111100000" * 10)


def slower(result: Result, op: int = 3) -> Result:
    costs = [*result.per_op]
    spread = Spread(*[costs[op].count * 2] * 5, 16)
    costs[op] = dataclasses.replace(costs[op], counted=(Count("instructions", spread),))
    total = made_up.instructions(int(result.counts.median) + costs[op].count // 2, 14, result.counts.runs)
    return dataclasses.replace(result, per_op=tuple(costs), counted=total)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (("out/a/result.json", "out/b/result.json"), ("a", "b")),
        (("out/a", "out/b/c"), ("a", "b/c")),
        (("out", "out/ram"), ("out", "out/ram")),
        (("a", "a"), ("a", "a")),
        (("x/long-name-of-a-model-on-a-board", "y/long-name-of-a-model-on-a-board"), ("x", "y")),
        (
            (
                "o/mnist-mps2-an386-data-balanced",
                "o/mnist-mps2-an386-data-ram",
                "o/mnist-mps2-an386-data-size",
            ),
            ("balanced", "ram", "size"),
        ),
        (("o/keywords-mps2-an386-speed", "o/keywords-mps2-an386"), ("an386-speed", "an386")),
        (("jobs/mnist-0f", "jobs/mnist-1e"), ("mnist-0f", "mnist-1e")),
        (("/a/b", "c/b", "d/e"), ("/a/b", "c/b", "d/e")),
    ],
)
def test_names_without_what_they_have_in_common(names: tuple[str, ...], short: tuple[str, ...]) -> None:
    assert short_names(names) == short


def test_estimates_are_compared_where_both_have_them(first: Result) -> None:
    def estimated(ms: float) -> Result:
        return dataclasses.replace(first, estimate=Estimate(1000, ms, ms / 2, ms * 2, "a model", "points"))

    found = compare([estimated(2.0), estimated(3.0)], ["a", "b"])
    (figure,) = [one for one in found.figures if one.name == "estimated_time"]
    assert figure.values == (2.0, 3.0) and figure.better(1) is False
    told = compared.markdown(found)
    assert "| Time, estimated | 2 ms | 3 ms +1 (+50.0 %)" in told
    alone = compared.markdown(compare([first, estimated(3.0)], ["a", "b"]))
    assert "| Time, estimated | – | 3 ms |" in alone


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(0, 5) == mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)
    assert 0 <= mcnemar(0, 5000) < 1e-300


@given(st.integers(1, 10_000), st.data())
def test_an_interval_holds_what_was_seen(samples: int, data: st.DataObject) -> None:
    share = data.draw(st.integers(0, samples)) / samples
    low, high = interval(share, samples)
    assert 0 <= low <= share <= high <= 1
    assert (
        high - low < interval(share, samples // 2 + 1)[1] - interval(share, samples // 2 + 1)[0] + 1e-9
        or samples < 3
    )


def test_wilsons_interval_by_hand() -> None:  # scipy.stats.binomtest(9, 10).proportion_ci(method="wilson")
    assert interval(0.9, 10) == pytest.approx((0.5958500, 0.9821238), abs=1e-6)


def test_what_changed_is_told(first: Result) -> None:
    found = compare([first, slower(first)], ["a", "b"])
    assert found.obstructed == ()
    by_name = {figure.name: figure for figure in found.figures}
    assert by_name["instructions"].better(1) is False and by_name["flash"].better(1) is None
    assert by_name["instructions"].delta(1) == slower(first).counts.median - first.counts.median
    changed = [op for op in found.ops if op.changed]
    assert [op.index for op in changed] == [first.per_op[3].index]
    (flip,) = found.flips
    assert flip is not None and (flip.lost, flip.won, flip.p) == ((), (), 1)


def test_which_samples_flipped(first: Result) -> None:
    other = right(first, "0111110000" * 10)
    (flip,) = compare([first, other], ["a", "b"]).flips
    assert flip is not None
    assert flip.lost == tuple(range(0, 100, 10)) and flip.won == tuple(range(5, 100, 10)) and flip.p == 1
    worse = right(first, "0111000000" * 10)
    (flip,) = compare([first, worse], ["a", "b"]).flips
    assert flip is not None and len(flip.lost) == 20 and flip.p == pytest.approx(2 / 2**20)


def altered(result: Result, what: str) -> Result:
    changes = {
        "board": {"board": dataclasses.replace(result.board, id="other")},
        "compiler": {"build": dataclasses.replace(result.build, compiler="gcc 99")},
        "data": {"provenance": dataclasses.replace(result.provenance, data="x.npz, sha256 ff")},
        "target": {"target": dataclasses.replace(result.target, kind="renode")},
    }
    return made_up.on_a_board(result) if what == "unit" else dataclasses.replace(result, **changes[what])


@pytest.mark.parametrize("what", ["board", "compiler", "data", "target", "unit"])
def test_what_cannot_be_compared(first: Result, what: str, tmp_path: Path) -> None:
    paths = []
    for name, result in (("a", first), ("b", altered(first, what))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(result.to_json()))
        paths.append(tmp_path / name)
    with pytest.raises(UsageError, match=f"the {what} differs") as refused:
        tinydeploy.compare(paths)
    assert "--force" in refused.value.hint and "\n" not in refused.value.message
    assert tinydeploy.compare(paths, force=True).obstructed
    with pytest.raises(UsageError, match=f"the {what} differs"):
        baseline.judged(altered(first, what), first, "before", {})
    assert baseline.judged(altered(first, what), first, "before", {}, force=True).gates


def test_the_same_data_elsewhere_are_the_same(first: Result) -> None:
    moved = dataclasses.replace(first.provenance, data=f"/elsewhere/{first.provenance.data}")
    assert compare([first, dataclasses.replace(first, provenance=moved)], ["a", "b"]).obstructed == ()


def test_one_result_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two results"):
        tinydeploy.compare([tmp_path])


def three(first: Result) -> Comparison:
    hostile = dataclasses.replace(slower(first), model=dataclasses.replace(first.model, path=HOSTILE))
    return compare([first, hostile, made_up.on_a_board(right(first, "1" * 100))], ["a", HOSTILE, "c"])


def test_every_figure_is_on_console_page_and_in_markdown(first: Result) -> None:
    found = three(first)
    text = io.StringIO()
    Console(file=text, width=250, markup=False).print(compared.console(found))
    page, markdown = compared_page.render(found), compared.markdown(found)
    ElementTree.fromstring(page.replace("<!DOCTYPE html>", ""))
    for shown in (text.getvalue(), page, markdown):
        assert "\x1b" not in shown and "Not like with like" in shown
        for figure in found.figures:
            assert figure.label in shown
            for cell in compared.cells(figure):
                assert cell.value in shown and cell.change in shown
    assert "<b>" not in page and "<b>" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| Flash")]
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows) and rows
    plain = compared.plain(found)
    assert json.loads(json.dumps(plain)) == plain
    assert [len(figure["ratios"]) for figure in plain["figures"]] == [2] * len(found.figures)


# --- baselines --------------------------------------------------------------------------------------


def gates(result: Result, before: Result, allow: str = "") -> dict[str, Gate]:
    held = baseline.judged(result, before, "before", baseline.allowances(allow))
    return {gate.name: gate for gate in held.gates or ()}


def test_a_regression_by_more_than_is_allowed(first: Result) -> None:
    now = slower(first)
    part = now.counts.median / first.counts.median - 1
    assert all(gate.held for gate in gates(first, first).values())
    assert gates(now, first)["max_instructions"].held is False
    assert gates(now, first, f"instructions={100 * part + 0.1}%")["max_instructions"].held is True
    assert gates(now, first, f"instructions={100 * part - 0.1}%")["max_instructions"].held is False
    assert gates(now, first, f"instructions={now.counts.median - first.counts.median}")[
        "max_instructions"
    ].held
    (line,) = failures(baseline.judged(now, first, "git:main", {}))
    assert line.startswith("max_instructions: ") and "by git:main, over by" in line
    assert gates(first, now)["max_instructions"].held is True


def test_a_loss_of_accuracy(first: Result) -> None:
    worse = right(first, "1111000000" * 10)
    assert gates(worse, first)["min_accuracy"].held is False
    assert gates(worse, first, "accuracy=10%")["min_accuracy"].held is True
    unlabelled = dataclasses.replace(first, accuracy=None)
    assert gates(unlabelled, first)["min_accuracy"].held is False
    assert "min_accuracy" not in gates(first, unlabelled)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("instrctions=2%", "did you mean instructions?"),
        ("colour=2%", "no figure"),
        ("instructions", "allows nothing"),
        ("instructions=nan", "allows nothing"),
        ("instructions=-1", "allows nothing"),
        ("instructions=2 KiB", "allows nothing"),
    ],
)
def test_what_allows_nothing(written: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", r"\?")):
        baseline.allowances(written)


def test_several_allowances() -> None:
    allowed = {"instructions": (0.02, True), "stack": (64.0, False), "accuracy": (0.005, True)}
    assert baseline.allowances("instructions=2%,stack = 64, accuracy=.5%") == allowed
    assert baseline.allowances("") == {}


def git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *words]
    subprocess.run(command, check=True, capture_output=True)


def test_where_a_baseline_is(first: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "repo" / "out" / "made-up" / "result.json"
    file.parent.mkdir(parents=True)
    git(tmp_path / "repo", "init", "-q")
    file.write_text(json.dumps(first.to_json()))
    git(tmp_path / "repo", "add", ".")
    git(tmp_path / "repo", "commit", "-qm", "one")
    file.write_text(json.dumps(slower(first).to_json()))
    now = stored.read(file)

    def held(written: str) -> Result:
        return Baselines.taken({"baseline": written}).of(file)(now)

    assert failures(held("git:HEAD"))
    assert failures(held(f"git:HEAD:{file}"))
    assert failures(held(f"git:HEAD:{file.parent}"))
    assert failures(held(str(file))) == ()
    assert failures(held(str(file.parent))) == failures(held(str(file.parent.parent))) == ()
    assert Baselines.taken({}).of(file)(now) == now
    refused = {
        "git:nowhere": "no commit 'nowhere'",
        "": "empty string",
        "git:": "no git ref",
        "git:--output=x": "no git ref",
        f"git:HEAD:{file.parent / 'other.json'}": "has no out/made-up/other.json",
        str(tmp_path / "missing.json"): "cannot be read: No such file",
        str(tmp_path / "repo"): "has no baseline for made-up",
    }
    for written, told in refused.items():
        with pytest.raises(UsageError) as error:
            held(written)
        assert told in error.value.message and "\n" not in error.value.message
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tmp_path / 'repo'}", "shallow")
    with pytest.raises(UsageError, match="no commit 'HEAD~1'") as error:
        Baselines.taken({"baseline": "git:HEAD~1"}).of(tmp_path / "shallow" / "result.json")
    assert "--unshallow" in error.value.hint
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UsageError, match="does not trust") as error:
        held("git:HEAD")
    assert "safe.directory" in error.value.hint
    elsewhere = tmp_path / "elsewhere" / "result.json"
    with pytest.raises(UsageError, match="in no git repository"):
        Baselines.taken({"baseline": "git:HEAD"}).of(elsewhere)
    with pytest.raises(UsageError, match="there is none"):
        Baselines.taken({"allow": "stack=1"})
