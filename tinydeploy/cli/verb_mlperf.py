"""tinydeploy mlperf."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.cli import options
from tinydeploy.cli.shell import EXIT_CODES, check_failed, progress, show, show_json
from tinydeploy.report.layout import Facts

if TYPE_CHECKING:
    from tinydeploy.mlperf.submission import Figures


@options.verb("mlperf", epilog=EXIT_CODES)
@options.model
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """MLPerf Tiny's benchmark of the model: performance and accuracy, by its protocol and its rules."""
    with progress("reading the model") as update:
        from tinydeploy.mlperf import mlperf_verb

        figures, folder = mlperf_verb.mlperf(model, progress=update, **options.given(flags))
    if as_json:
        show_json(figures.to_json())
    else:
        show(Facts([*_facts(figures), ("Submission", (str(folder / "open"), ""))]))
    check_failed([*_failures(figures)], f"the log is in {folder}")


def _facts(figures: Figures) -> Iterator[tuple[str, tuple[str, str]]]:
    yield "Benchmark", (figures.benchmark, f"on {figures.board}, {figures.target}")
    yield "A microsecond is", (figures.microsecond, "")
    if figures.inferences_per_second is not None:
        short = "windows shorter than the rules' 10 s: no result of the benchmark"
        enough = short if figures.long_enough is False else ""
        yield "Throughput", (f"{figures.inferences_per_second:,.3f} inferences/s", enough)
    if figures.duty_cycle is not None:
        late = {
            True: "✓ no frame takes longer than its 32 ms",
            False: "✗ frames take longer than their 32 ms: sound would be lost",
            None: "of such microseconds",
        }
        yield "Duty cycle", (f"{100 * figures.duty_cycle:.1f} %", late[figures.keeps_up])
    if figures.samples is not None:
        if figures.differing is not None:
            same = "✓" if not figures.differing else "✗"
            what = "samples" if figures.duty_cycle is None else "frames"
            yield (
                "As TFLite Micro",
                (f"{same} {figures.samples - figures.differing:,} of {figures.samples:,} {what}", ""),
            )
        if figures.furthest_feature is not None:
            near = "✓" if figures.furthest_feature <= 1 else "✗"
            yield (
                "Features",
                (f"{near} at most {figures.furthest_feature} off", "as in float64, of 256 steps"),
            )
        met = {True: "✓ the target is met", False: "✗ the target is missed", None: ""}[figures.target_met]
        if figures.top1 is not None:
            yield "Top-1", (f"{figures.top1:.1f} %", met)
        if figures.auc is not None:
            yield "AUC", (f"{figures.auc:.3f}", met if figures.top1 is None else "")
        if figures.hits is not None:
            words = f"{figures.hits} heard, {figures.missed} missed, {figures.wrong} wrong"
            yield "Wake words", (words, met)
    if figures.duty_cycle is not None:
        yield "Sound", ("over the serial line", "frame by frame, not in real time as over I2S")
    if figures.made_up:
        what = "random samples, labels in turn" if figures.duty_cycle is None else "noise, without a word"
        yield "Data", ("made up", f"{what}: nothing is said of accuracy")


def _failures(figures: Figures) -> Iterator[str]:
    if figures.differing:
        yield f"the results of {figures.differing} of {figures.samples} samples are not TFLite Micro's"
    if figures.furthest_feature is not None and figures.furthest_feature > 1:
        yield f"features are up to {figures.furthest_feature} steps from those in float64"
    if figures.keeps_up is False:
        yield "frames take longer than the 32 ms that they last"
    if figures.target_met is False:
        yield f"the quality target of {figures.benchmark} is missed"
