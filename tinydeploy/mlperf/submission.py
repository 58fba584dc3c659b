"""What a run of MLPerf Tiny leaves: the folders and files of a submission, and mlperf.json.

The shape is what mlcommons/tiny's tools/submission/submission_checker.py reads (v1.4): for each mode a
log.txt, a results.txt with lines of a fixed form, and a results.json.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tinydeploy.errors import ToolError
from tinydeploy.firmware.mlperf_tiny import Benchmark
from tinydeploy.link.mlperf_device import Inferred
from tinydeploy.mlperf import benchmark_runs
from tinydeploy.mlperf.benchmark_runs import Answer, Window
from tinydeploy.mlperf.stream_runs import FRAME_US, Counts, Listening

SCHEMA = "tinydeploy.mlperf/1"
SUBMITTER = "tinydeploy"
SUMMARY = "mlperf.json"
MADE_UP = " (of made-up data: this is no accuracy)"
_RULE = "-" * 57
_BYTES = re.compile(r"< m-ready$|> db (?!load)|< (Received command: |\d+ bytes received|m-features-)")
_QUALITIES = re.compile(rb"^.*(?:Top 1% =|AUC =|Accuracy:) ?\d[^\r\n]*", re.MULTILINE)


@dataclass(frozen=True)
class Figures:
    """A run's figures. Times are by the device's clock: `microsecond` says what that is worth.

    `inferences_per_second` is the median of the windows, and `window_us` the shortest of them; `top1` is in
    percent. `differing` counts the samples whose results are not TFLite Micro's. `made_up` says that the data
    mean nothing. What was not measured is None.

    Of a stream an inference is all that is done with a frame, which is a sample: `duty_cycle` is its share of
    a frame's time, `keeps_up` whether none takes longer on a board. `hits`, `missed` and `wrong` count words.
    No feature is more than `furthest_feature` steps from the same in float64.
    """

    benchmark: str
    model: str
    model_sha256: str
    board: str
    target: str
    engine: str
    microsecond: str
    made_up: bool
    data: str | None
    inferences_per_second: float | None = None
    window_us: int | None = None
    long_enough: bool | None = None
    samples: int | None = None
    top1: float | None = None
    auc: float | None = None
    target_met: bool | None = None
    differing: int | None = None
    duty_cycle: float | None = None
    keeps_up: bool | None = None
    hits: int | None = None
    missed: int | None = None
    wrong: int | None = None
    furthest_feature: int | None = None
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The content of mlperf.json: no key for what was not measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def results_path(system: str, benchmark: Benchmark) -> str:
    """Where in a submission the results of a system are, in the open division."""
    return f"open/{SUBMITTER}/results/{system}/{benchmark.folder}"


def system(name: str, facts: Mapping[str, str]) -> dict[str, bytes]:
    """The description of a system, by its path in a submission."""
    return {f"open/{SUBMITTER}/systems/{name}.json": _json(facts)}


def performance(windows: Sequence[Window], seconds: float) -> dict[str, bytes]:
    """The files of a performance run, but for its log. No median is told of windows that are too short."""
    lines = []
    for number, each in enumerate(windows, 1):
        lines += [
            f"Performance results for window {number}",
            f"    # Inferences : {each.inferences}",
            f"    Runtime: {each.elapsed_us / 1e6} sec.",
            f"    Throughput: {each.throughput} inf./sec.",
        ]
    if min(each.elapsed_us for each in windows) < 1e6 * benchmark_runs.SECONDS:
        lines.append(
            f"ulp-mlperf: windows of {seconds:g} s are shorter than the rules' {benchmark_runs.SECONDS:g} s."
        )
    else:
        median = benchmark_runs.median_throughput(windows)
        lines += [
            f"ulp-mlperf: {_RULE}",
            f"ulp-mlperf: Median throughput is {median:>10.3f} inf./sec.",
            f"ulp-mlperf: {_RULE}",
        ]
    found = [
        _result(each.inferred, each.inferences, each.warmups, "p", **_entry(each), throughput=each.throughput)
        for each in windows
    ]
    return {"results.txt": text(lines), "results.json": _json(found)}


def accuracy(benchmark: Benchmark, found: Sequence[Answer]) -> dict[str, bytes]:
    """The files of an accuracy run, but for its log."""
    lines = [] if benchmark.metric != "top1" else [f"ulp-mlperf: Top 1% = {benchmark_runs.top1(found):2.1f}"]
    area = benchmark_runs.auc(found)
    if area is not None:
        lines.append(f"ulp-mlperf: AUC = {area:.3f}")
    each = [_result(one, 1, 0, "a", **_entry(answer)) for answer in found for one in answer.inferred]
    return {"results.txt": text(lines), "results.json": _json(each)}


def stream(heard: Sequence[Listening]) -> dict[str, bytes]:
    """The files of a run on a stream, but for its log."""
    lines, found = [], []
    for each in heard:
        counts = each.counts
        lines += [
            f"Accuracy: {counts.hits} True positives, {counts.missed} False negatives, "
            f"{counts.wrong} False positives",
            f"Average duty cycle: {each.took_us / FRAME_US:1.5}",
            f"Average period: {FRAME_US / 1e6:1.5} s",
            f"Estimated throughput: {1e6 / each.took_us:1.5} inf./sec.",
        ]
        spans = [[side / 1e6 for side in span] for span in each.spans_us]
        infer = {**each.recording.truth, "detections": each.detections_ms, "iterations": 1, "warmups": 0}
        cycle = {
            "duty_cycle": each.took_us / FRAME_US,
            "period": FRAME_US / 1e6,
            "processing_time": each.took_us / 1e6,
            "start_times_s": [span[0] for span in spans],
            "stop_times_s": [span[1] for span in spans],
        }
        activations = [frame.scores[0] for frame in each.frames]
        found.append({"infer": infer, "dutycycle": cycle, "activations": activations, "mode": "p"})
    return {"results.txt": text(lines), "results.json": _json(found)}


def marked(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a run on made-up data, with a plain word beside whatever looks like an accuracy."""
    return {
        name: content if name.endswith(".json") else _QUALITIES.sub(rb"\g<0>" + MADE_UP.encode(), content)
        for name, content in files.items()
    }


def of_stream(figures: Figures, heard: Sequence[Listening], counts: Sequence[Counts]) -> Figures:
    """The figures with those of a stream; the words' `counts` are left out if the sound is made up."""
    frames = sum(len(each.frames) for each in heard)
    took = sum(each.took_us * len(each.frames) for each in heard) / frames
    found = replace(
        figures,
        inferences_per_second=1e6 / took,
        samples=frames,
        duty_cycle=took / FRAME_US,
    )
    if figures.made_up:
        return found
    hits, missed, wrong = (
        sum(getattr(each, name) for each in counts) for name in ("hits", "missed", "wrong")
    )
    return replace(found, hits=hits, missed=missed, wrong=wrong)


def summary(figures: Figures) -> bytes:
    """The content of mlperf.json."""
    return _json(figures.to_json())


def read_back(files: Mapping[str, bytes], mode: str, figures: Figures) -> Figures:
    """The figures with those that the official runner has written, whatever they are."""
    found = json.loads(files["results.json"])
    if mode == "performance":
        took = [int(each["infer"]["elapsed_time"]) for each in found if "infer" in each]
        speeds = [float(each["infer"]["throughput"]) for each in found if "infer" in each]
        long_enough = min(took) >= 1e6 * benchmark_runs.SECONDS
        return replace(
            figures,
            inferences_per_second=statistics.median(speeds),
            window_us=min(took),
            long_enough=long_enough,
        )
    told = files["results.txt"].decode(errors="replace")
    top1, area = (re.search(rf"{name}\s*[:=]\s*([\d.]+)", told) for name in ("Top 1%", "AUC"))
    if not figures.made_up:
        figures = replace(figures, top1=top1 and float(top1[1]), auc=area and float(area[1]))
    return replace(figures, samples=len(found))


def words_read_back(files: Mapping[str, bytes]) -> Counts:
    """How the official runner has judged what was heard. Raises ToolError if it has not."""
    told = files["results.txt"].decode(errors="replace")
    found = re.search(r"Accuracy: (\d+) True positives, (\d+) False negatives, (\d+) False positives", told)
    if found is None:
        raise ToolError("MLPerf Tiny's runner tells of no words that it has heard")
    return Counts(*map(int, found.groups()))


def log(lines: Sequence[str]) -> bytes:
    """The conversation with the device, without what was sent of samples and the features of sound."""
    return text([line for line in lines if not _BYTES.match(line)])


def _entry(of: Window | Answer) -> dict[str, Any]:
    return {"file": of.entry.file, "class": str(of.entry.label)}


def _result(
    inferred: Inferred,
    iterations: int,
    warmups: int,
    mode: str,
    *,
    throughput: float | None = None,
    **entry: Any,
) -> dict[str, Any]:
    """A turn of the runner's loop, as it writes it to results.json."""
    times = {"start_time": inferred.start_us, "end_time": inferred.end_us}
    infer = {"results": list(inferred.results), **times, "elapsed_time": inferred.end_us - inferred.start_us}
    infer |= {"total_inferences": 1, "iterations": iterations, "warmups": warmups}
    return {
        **entry,
        "infer": infer | ({} if throughput is None else {"throughput": throughput}),
        "mode": mode,
    }


def text(lines: Sequence[str]) -> bytes:
    """A file of these lines."""
    return "".join(f"{line}\n" for line in lines).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
