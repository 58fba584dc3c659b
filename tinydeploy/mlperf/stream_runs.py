"""What a device hears in a stream of sound, by the rules of MLPerf Tiny's streaming wake word.

The runner is https://github.com/mlcommons/tiny, benchmark/runner (streaming_ww_utils.py). There a board plays
the sound in real time and takes the times of the device's pins. Here a frame is sent when the one before
has been worked on, the times are the device's, and the sound's own time goes on by a frame's with each.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinydeploy.errors import LinkCorruptError
from tinydeploy.firmware import log_mel
from tinydeploy.host.reference import Reference
from tinydeploy.link.mlperf_device import Heard, MlperfDevice
from tinydeploy.mlperf.sound import Recording
from tinydeploy.model.graph import Graph
from tinydeploy.progress import Progress

FRAME_US = 1_000_000 * log_mel.STRIDE // log_mel.RATE
WORDS = 50  # in the benchmark's own recording, whose target is no other's
_LATE = 2.0  # seconds after a word in which it may be heard, as the runner has it
_SAME = 1.0  # seconds in which wrong detections are one


@dataclass(frozen=True)
class Counts:
    """How many words were heard, how many were not, and how often one was heard that was not there."""

    hits: int
    missed: int
    wrong: int


@dataclass(frozen=True)
class Listening:
    """A recording, and what the device made of each frame of it."""

    recording: Recording
    frames: tuple[Heard, ...]

    @property
    def took_us(self) -> float:
        """The mean of the times that a frame takes, by the device's clock."""
        return statistics.fmean(frame.end_us - frame.start_us for frame in self.frames)

    @property
    def longest_us(self) -> int:
        """The longest of them."""
        return max(frame.end_us - frame.start_us for frame in self.frames)

    @property
    def spans_us(self) -> list[tuple[int, int]]:
        """When the device works on each frame, in the sound's time."""
        return [
            ((index + 1) * FRAME_US, (index + 1) * FRAME_US + frame.end_us - frame.start_us)
            for index, frame in enumerate(self.frames)
        ]

    @property
    def detections_ms(self) -> list[int]:
        """When it tells of a wake word, in the sound's time; the first marks the beginning."""
        spans = zip(self.spans_us, self.frames, strict=True)
        return [end // 1000 for (_, end), frame in spans if frame.is_detection]

    @property
    def counts(self) -> Counts:
        """The detections, judged by the recording's words."""
        return judged(self.detections_ms, self.recording)


def judged(detections_ms: Sequence[int], recording: Recording) -> Counts:
    """Detections from the first on, which marks the beginning, against the words of a recording."""
    left = [(at - detections_ms[0]) / 1000 for at in detections_ms[1:]]
    hits = 0
    for begin, end in recording.words:
        others = [at for at in left if not begin <= at <= end + _LATE]
        hits += len(others) < len(left)
        left = others
    wrong: list[float] = []
    for at in left:
        if not wrong or at > wrong[-1] + _SAME:
            wrong.append(at)
    return Counts(hits, len(recording.words) - hits, len(wrong))


def listen(device: MlperfDevice, recording: Recording, progress: Progress) -> Listening:
    """Has the device listen to a recording from its begin to its end. Raises as `play` does."""
    device.command("start")
    heard = play(device, recording, progress)
    device.command("stop")
    return heard


def play(device: MlperfDevice, recording: Recording, progress: Progress) -> Listening:
    """Plays a recording to a device that listens. Raises LinkCorruptError if that does not as it has to."""
    frames = recording.frames
    heard = []
    for index, frame in enumerate(frames):
        if index % 8 == 0:
            progress(f"playing {recording.file}", index, len(frames))
        heard.append(device.hear(frame))
    if any(len(frame.features) != log_mel.BANDS for frame in heard) or not heard[0].is_detection:
        raise LinkCorruptError("the device does not listen as the benchmark wants it")
    return Listening(recording, tuple(heard))


def disagreeing(graph: Graph, heard: Sequence[Listening]) -> int:
    """Of how many frames the device's scores are not TFLite Micro's, of the features that the device made."""
    tensor = graph.tensors[graph.inputs[0]]
    windows, scores = [], []
    for listening in heard:
        features = np.array([frame.features for frame in listening.frames])
        silence = np.zeros((tensor.elements // log_mel.BANDS - 1, log_mel.BANDS), features.dtype)
        all_frames = np.concatenate([silence, features])
        view = np.lib.stride_tricks.sliding_window_view(all_frames, len(silence) + 1, axis=0)
        windows.append(view.swapaxes(1, 2).reshape(len(features), *tensor.shape))
        scores += [frame.scores for frame in listening.frames]
    with Reference(graph.content) as reference:
        (outputs,) = reference.run([np.concatenate(windows).astype(tensor.dtype.value)])
    return int((outputs.reshape(len(scores), -1) != np.array(scores)).any(axis=1).sum())


def furthest_feature(graph: Graph, heard: Sequence[Listening]) -> int:
    """By how many steps at most a feature is another than in float64."""
    quantization = graph.tensors[graph.inputs[0]].quantization
    assert quantization is not None, "the application sees to it"
    least = -128 if graph.tensors[graph.inputs[0]].dtype.value == "int8" else 0
    furthest = 0
    for listening in heard:
        real = log_mel.features(listening.recording.sound) / quantization.scale + quantization.zero_point
        wanted = np.trunc(np.clip(real, least, least + 255))
        given = np.array([frame.features for frame in listening.frames])
        furthest = max(furthest, int(np.abs(wanted - given).max()))
    return furthest
