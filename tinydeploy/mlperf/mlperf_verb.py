"""The verb mlperf: a firmware that takes part in MLPerf Tiny, built, loaded, and driven."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Unpack

from tinydeploy.errors import DataError, DeviceFaultError, UsageError, WrongFirmwareError
from tinydeploy.evaluate.deployment import Job, prepare
from tinydeploy.evaluate.keyword_types import Running
from tinydeploy.evaluate.keywords import checked_keywords
from tinydeploy.evaluate.mlperf_options import MODES
from tinydeploy.evaluate.request import Model, load_model, with_usual
from tinydeploy.firmware import elf, mlperf_tiny
from tinydeploy.firmware.build import Firmware
from tinydeploy.firmware.mlperf_tiny import Benchmark
from tinydeploy.host import output_folder
from tinydeploy.host.output_folder import Manifest
from tinydeploy.link.channel import Stream
from tinydeploy.link.mlperf_device import MlperfDevice
from tinydeploy.mlperf import (
    benchmark_runs,
    datasets,
    interface_board,
    official_runner,
    sound,
    stream_runs,
    submission,
)
from tinydeploy.mlperf.bridge import Bridge
from tinydeploy.mlperf.datasets import DataSet
from tinydeploy.mlperf.interface_board import InterfaceBoard
from tinydeploy.mlperf.official_runner import OfficialRunner
from tinydeploy.mlperf.sound import Recording
from tinydeploy.mlperf.stream_runs import Counts, Listening
from tinydeploy.mlperf.submission import Figures
from tinydeploy.progress import Progress, silent
from tinydeploy.report import text
from tinydeploy.version import __version__
from tinydeploy.words import DEFAULT_TIMEOUT

_MANIFEST = Manifest("tinydeploy-mlperf.json", "tinydeploy.mlperf/1")
_SCRATCH = "tinydeploy-mlperf-"
_RUNNER_SECONDS = 600.0  # besides what the windows last


@checked_keywords
def mlperf(
    model: Model,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    samples: int | None = None,
    mode: str | None = None,
    seconds: float = benchmark_runs.SECONDS,
    runner: str | Path | None = None,
    runner_python: str = sys.executable,
    progress: Progress = silent,
    **options: Unpack[Running],
) -> tuple[Figures, Path]:
    """Runs the model's benchmark of MLPerf Tiny, and writes what a submission holds into the folder returned.

    `data` is a data set's folder, of which the first `samples` files are run; without one, samples are made
    up. `mode` is one of MODES; without one, both are run; of a stream, one run is both. A window lasts
    `seconds` of the device's, and so does a sound that is made up.
    With `runner`, the folder of mlcommons/tiny's runner, that drives the device, and not tinydeploy.
    """
    settled = with_usual(model, options, "mlperf")
    timeout = settled.pop("timeout", None) or DEFAULT_TIMEOUT
    if mode not in (None, *MODES):
        raise UsageError(f"there is no mode '{mode}'", f"it is {' or '.join(MODES)}")
    official = OfficialRunner.at(Path(runner), runner_python) if runner is not None else None
    if official is not None and settled.get("port"):
        raise UsageError("the runner finds a board by itself", "leave out --runner or --port")
    graph = load_model(model, settled)
    app = mlperf_tiny.application(graph)
    benchmark = mlperf_tiny.benchmark_of(graph)
    if official is not None and not benchmark.streams:
        settled["link"] = "uart"
    chosen = _chosen(benchmark, None if data is None else Path(data), samples, seconds, official is not None)
    progress("compiling the model", 0, 0)
    job = replace(prepare(graph, **settled).connected(), app=app)
    folder = Path(out or Path("tinydeploy-out") / f"{Path(graph.path).stem}-{job.board.id}-mlperf")
    output_folder.check(folder.resolve(), [submission.SUMMARY], _MANIFEST)
    firmware = job.build(job.planned_bytes, progress)
    common = _Run(job, firmware, benchmark, timeout, seconds, progress)
    run = _SampleRun(common, chosen) if isinstance(chosen, DataSet) else _StreamRun(common, chosen)
    figures = _figures(job, benchmark, chosen, "" if data is None else str(data))
    for wanted in (mode,) if mode else MODES[:1] if benchmark.streams else MODES:
        figures = run.officially(official, wanted, figures) if official else run.ourselves(wanted, figures)
    files = {**common.files, submission.SUMMARY: submission.summary(figures)}
    output_folder.write(folder, files, _MANIFEST)
    return figures, folder


def _chosen(
    benchmark: Benchmark, data: Path | None, samples: int | None, seconds: float, official: bool
) -> DataSet | tuple[Recording, ...]:
    """What is run. Raises DataError for what cannot be used, or not by the `official` runner."""
    if benchmark.streams:
        recordings = sound.made_up(seconds) if data is None else sound.read(data, samples)
        if official and len(recordings) > 1:
            raise DataError("the runner plays one file", "add --samples 1")
        return recordings
    found = datasets.made_up(benchmark, samples) if data is None else datasets.read(data, benchmark, samples)
    if official and len(found.entries) < datasets.AT_LEAST:
        raise DataError(f"the runner takes {datasets.AT_LEAST} files, and there are {len(found.entries)}")
    return found


@dataclass
class _Run:
    """The firmware of a job, and the files that its runs leave."""

    job: Job
    firmware: Firmware
    benchmark: Benchmark
    timeout: float
    seconds: float
    progress: Progress
    files: dict[str, bytes] = field(default_factory=dict)

    def keep(self, mode: str, files: Mapping[str, bytes], made_up: bool) -> None:
        """Adds the files of a mode, and the description of the system, to what is written."""
        system = f"{self.job.board.id}-{self.job.target.name}"
        place = submission.results_path(system, self.benchmark)
        told = submission.marked(files) if made_up else files
        self.files |= {f"{place}/{mode}/{name}": content for name, content in told.items()}
        self.files |= submission.system(system, _described(self.job))

    @contextmanager
    def device(self, said: list[str]) -> Iterator[tuple[Stream, MlperfDevice]]:
        """The running device, which was greeted, and the stream to it. What passes is `said`."""
        with self.job.opened(self.firmware, self.progress) as target:
            try:
                stream = target.start()
                yield stream, self._greeted(stream, said)
            except DeviceFaultError as error:
                raise error.at(elf.locate(self.firmware.elf, error.pc)) from error

    def _greeted(self, stream: Stream, said: list[str]) -> MlperfDevice:
        device = MlperfDevice(stream, self.timeout, said.append)
        identity = device.greet()
        if identity.model != self.benchmark.id or self.firmware.build_id not in identity.name:
            raise WrongFirmwareError(
                f"the device runs {identity.name} with {identity.model}, not the firmware that was built",
                "load it again",
            )
        return device


@dataclass(frozen=True)
class _SampleRun:
    """Runs on samples."""

    run: _Run
    data: DataSet

    def ourselves(self, mode: str, figures: Figures) -> Figures:
        """A run by tinydeploy's own client; the figures with what it has found."""
        said: list[str] = []
        run = self.run
        with run.device(said) as (_, device):
            if mode == "performance":
                windows = benchmark_runs.performance(device, self.data, run.seconds, run.progress)
                shortest = min(each.elapsed_us for each in windows)
                found = replace(
                    figures,
                    inferences_per_second=benchmark_runs.median_throughput(windows),
                    window_us=shortest,
                    long_enough=shortest >= 1e6 * benchmark_runs.SECONDS,
                )
                files = submission.performance(windows, run.seconds)
            else:
                answers = benchmark_runs.answers(device, run.benchmark, self.data, run.progress)
                found = self._judged(figures, answers)
                files = submission.accuracy(run.benchmark, answers)
        run.keep(mode, {**files, "log.txt": submission.log(said)}, self.data.is_made_up)
        return found

    def _judged(self, figures: Figures, answers: tuple[benchmark_runs.Answer, ...]) -> Figures:
        benchmark, real = self.run.benchmark, not self.data.is_made_up
        top1 = None if benchmark.is_real or not real else benchmark_runs.top1(answers)
        area = benchmark_runs.auc(answers) if real else None
        figure = area if benchmark.metric == "auc" else top1
        return replace(
            figures,
            samples=len(self.data.samples),
            top1=top1,
            auc=area,
            target_met=None if figure is None else figure >= benchmark.target,
            differing=benchmark_runs.disagreeing(self.run.job.graph, benchmark, answers),
        )

    def officially(self, runner: OfficialRunner, mode: str, figures: Figures) -> Figures:
        """A session of the official runner, whose files are kept as they are."""
        count, run = 1, self.run
        with run.device([]) as (stream, device), tempfile.TemporaryDirectory(prefix=_SCRATCH) as scratch:
            if mode == "performance":
                count = benchmark_runs.inferences_for(device, self.data, run.seconds)
            script = official_runner.test_script(run.benchmark, mode, count, benchmark_runs.WARMUPS)
            data = Path(scratch) / "datasets"
            datasets.write(self.data, data / run.benchmark.data_folder, run.benchmark)
            run.progress(f"MLPerf Tiny's runner measures {mode}", 0, 0)
            windows = 4 * benchmark_runs.WINDOWS * run.seconds
            limit = _RUNNER_SECONDS + windows + len(self.data.samples) * run.timeout
            with Bridge(stream) as bridge:
                files = runner.run(mode, bridge.port, script, data, Path(scratch) / mode, limit)
            if bridge.error is not None:
                raise bridge.error
        run.keep(mode, files, self.data.is_made_up)
        run.files[f"transcript-{mode}.txt"] = submission.text(bridge.transcript)
        return submission.read_back(files, mode, figures)


@dataclass(frozen=True)
class _StreamRun:
    """Runs on a stream of sound, of which one is performance and accuracy."""

    run: _Run
    recordings: tuple[Recording, ...]

    def ourselves(self, mode: str, figures: Figures) -> Figures:
        """A run by tinydeploy's own client; the figures with what it has found."""
        said: list[str] = []
        with self.run.device(said) as (_, device):
            heard = [stream_runs.listen(device, one, self.run.progress) for one in self.recordings]
        files = {**submission.stream(heard), "log.txt": submission.log(said)}
        self.run.keep(mode, files, figures.made_up)
        return self._judged(figures, heard, [each.counts for each in heard])

    def officially(self, runner: OfficialRunner, mode: str, figures: Figures) -> Figures:
        """A session of the official runner, in front of what it takes for its interface board."""
        run = self.run
        with run.device([]) as (_, device), tempfile.TemporaryDirectory(prefix=_SCRATCH) as scratch:
            data = Path(scratch) / "datasets"
            sound.write(self.recordings, data / run.benchmark.id)
            script = official_runner.test_script(run.benchmark, mode, 1, 0)
            limit = _RUNNER_SECONDS + sum(len(one.frames) for one in self.recordings) * run.timeout
            with InterfaceBoard(device, self.recordings, run.progress) as board:
                files = runner.run(
                    mode, board.port, script, data, Path(scratch) / mode, limit, interface_board.NAME
                )
            if board.error is not None:
                raise board.error
        run.keep(mode, files, figures.made_up)
        run.files[f"transcript-{mode}.txt"] = submission.text(board.transcript)
        return self._judged(figures, board.heard, [submission.words_read_back(files)])

    def _judged(self, figures: Figures, heard: Sequence[Listening], counts: Sequence[Counts]) -> Figures:
        found = submission.of_stream(figures, heard, counts)
        job, target, met = self.run.job, self.run.benchmark.target, None
        longest = max(each.longest_us for each in heard)
        if not found.made_up and sum(each.hits + each.missed for each in counts) == stream_runs.WORDS:
            met = all(max(each.missed, each.wrong) <= target for each in counts)
        return replace(
            found,
            target_met=met,
            keeps_up=None if job.target.is_emulator else longest <= stream_runs.FRAME_US,
            differing=stream_runs.disagreeing(job.graph, heard),
            furthest_feature=stream_runs.furthest_feature(job.graph, heard),
        )


def _figures(job: Job, benchmark: Benchmark, data: DataSet | tuple[Recording, ...], source: str) -> Figures:
    """What is measured, and what its microseconds are worth; no figure yet."""
    if job.target.is_emulator:
        hz = job.board.clock_hz
        microsecond = f"{hz / 1e6:g} instructions in {job.target.title}: not a measurement of a board"
    else:
        microsecond = "counted on the board"
    return Figures(
        benchmark=benchmark.id,
        model=job.graph.path,
        model_sha256=job.graph.sha256,
        board=job.board.id,
        target=job.target.name,
        engine=job.sources.engine,
        microsecond=microsecond,
        made_up=data.is_made_up if isinstance(data, DataSet) else data[0].is_made_up,
        data=source or None,
    )


def _described(job: Job) -> dict[str, str]:
    """The system, as a submission describes it."""
    board, target = job.board, job.target
    what = (
        f"emulated by {target.title}: times are instructions at the clock's rate"
        if target.is_emulator
        else board.name
    )
    memory = f"{text.kib(board.flash.bytes)} flash, {text.kib(board.ram.bytes)} RAM"
    return {
        "Board Name": board.name,
        "Status": "rdi",
        "Processor(s) Name": board.core.name,
        "Processor(s) Frequencies": f"{board.clock_hz / 1e6:g} MHz",
        "Processor memory type and capacity": memory,
        "Hardware Notes": what,
        "Inference Framework": f"tinydeploy {__version__}, engine {job.sources.engine}",
    }
