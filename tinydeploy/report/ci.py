"""What a CI reads of cases: JUnit XML, GitHub's annotations and Markdown, GitLab's two formats, a badge."""

import hashlib
import json
from collections.abc import Iterator, Sequence

from tinydeploy.report import text
from tinydeploy.report.facts import budget_row
from tinydeploy.results import gates
from tinydeploy.results.case import Case
from tinydeploy.results.compare import figures
from tinydeploy.results.verdict import checks, failed_checks

_MARKS = {True: "✅", False: "❌", None: "–"}


def junit(cases: Sequence[Case]) -> str:
    """JUnit XML: a suite for each case, in it a test for each check and each limit."""
    from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

    xml = JUnitXml("tinydeploy")
    names = [case.name for case in cases]
    for case in cases:
        # The library makes one suite of two that have a name.
        name = case.name if names.count(case.name) == 1 else f"{case.name} ({case.file})"
        suite = TestSuite(text.printable(name))
        for check, held, told in _tests(case):
            test = TestCase(check, f"tinydeploy.{text.printable(case.name)}")
            if check == "run":
                test.result = [Error(text.printable(told), "error")]
            elif held is False:
                test.result = [Failure(text.printable(told), "missed")]
            elif held is None:
                test.result = [Skipped(text.printable(told))]
            suite.add_testcase(test)
        xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    content = xml.tostring()  # type: ignore[no-untyped-call]
    return str(content, "utf-8") + "\n"


def _tests(case: Case) -> Iterator[tuple[str, bool | None, str]]:
    """Name, whether it held (None: not checked), and in words why not: of each check, then each limit."""
    if case.error:
        yield "run", False, case.error
    if case.result is not None:
        phrases = failed_checks(case.result)
        for name, held in checks(case.result).items():
            yield name, held, phrases.get(name, "nothing to check it by")
    elif case.failed and not gates.missed(case.gates):
        yield "fit", False, case.failed[0]
    for gate in case.gates:
        yield f"{gate.against}: {gate.name}", gate.held, gates.phrase(gate)


def annotations(cases: Sequence[Case]) -> str:
    """GitHub's workflow commands, a line for each failure; one that says that all is well without any."""
    lines = [
        f"::error file={_property(case.file)},title={_property(case.name)}::{_message(line)}"
        for case in cases
        for line in case.lines
    ]
    return "\n".join(lines or [f"::notice title=tinydeploy::{_message(summary(cases))}"]) + "\n"


def _message(line: str) -> str:
    return text.printable(line).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _message(value).replace(":", "%3A").replace(",", "%2C")


def summary(cases: Sequence[Case]) -> str:
    """In a sentence how many hold."""
    passed = sum(case.passed for case in cases)
    return f"{passed} of {len(cases)} {'case' if len(cases) == 1 else 'cases'} within all limits"


def markdown(cases: Sequence[Case]) -> str:
    """A step summary: the cases, and for each the limits and how near they are."""
    failed = not all(case.passed for case in cases)
    lines = [f"## {'❌' if failed else '✅'} tinydeploy: {summary(cases)}", ""]
    for case in cases:
        lines += [f"### {_MARKS[case.passed]} {cell(case.name)}", ""]
        lines += [f"- {cell(line)}" for line in case.lines] + ([""] if case.lines else [])
        if case.gates:
            rows = [
                (row.label, row.value, row.limit, _MARKS[row.good], row.detail)
                for row in map(budget_row, case.gates)
            ]
            lines += [*table(("Limit", "is", "limit", "", ""), rows), ""]
        if case.result is not None:
            shown = [
                (f.label, gates.shown(f.values[0], f.unit))
                for f in figures([case.result])
                if f.values[0] is not None
            ]
            lines += [
                "<details><summary>Figures</summary>",
                "",
                *table(("Figure", "is"), shown),
                "",
                "</details>",
                "",
            ]
    return "\n".join(lines)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown, every column but the first at the right."""
    rule = ["---", *["--:"] * (len(heads) - 1)]
    return [f"| {' | '.join(map(cell, row))} |" for row in [heads, rule, *rows]]


def cell(words: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = text.printable(words).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    return escaped.replace("<", "&lt;").replace("`", "\\`").replace("[", "\\[")


def code_quality(cases: Sequence[Case]) -> str:
    """GitLab's code quality report: an issue for each failure."""
    issues = [
        {
            "description": f"{case.name}: {line}",
            "check_name": f"tinydeploy.{line.partition(':')[0] if ':' in line else 'check'}",
            "fingerprint": hashlib.sha256(f"{case.name}\0{line.partition(':')[0]}".encode()).hexdigest(),
            "severity": "blocker" if case.error else "major",
            "location": {"path": case.file, "lines": {"begin": 1}},
        }
        for case in cases
        for line in case.lines
    ]
    return json.dumps(issues, indent=2) + "\n"


def open_metrics(cases: Sequence[Case]) -> str:
    """OpenMetrics, which GitLab's metrics report reads: each figure of each case."""
    lines = []
    for case in cases:
        for figure in figures([case.result]) if case.result else ():
            value = figure.values[0]
            unit = {"share": "_ratio", "bytes": "_bytes", "µs": "_us"}.get(figure.unit, "")
            if value is not None:
                lines.append(f'tinydeploy_{figure.name}{unit}{{case="{_label(case.name)}"}} {value:.12g}')
    return "\n".join([*lines, "# EOF"]) + "\n"


def _label(value: str) -> str:
    return text.printable(value).replace("\\", "\\\\").replace('"', '\\"')


def badge(cases: Sequence[Case]) -> str:
    """shields.io's endpoint schema: one case's flash and count, or how many of several hold."""
    passed = all(case.passed for case in cases)
    result = cases[0].result if len(cases) == 1 else None
    if result is not None and passed:
        message = (
            f"{text.kib(result.build.flash_bytes)} flash, {text.millions(result.counts.median)} {result.unit}"
        )
    else:
        message = f"{sum(case.passed for case in cases)} of {len(cases)} within limits"
    colour = "brightgreen" if passed else "red"
    return json.dumps({"schemaVersion": 1, "label": "tinydeploy", "message": message, "color": colour}) + "\n"
