"""MLPerf Tiny's interface board, as its runner sees it: a pseudo-terminal in front of a device that listens.

The real one (https://github.com/mlcommons/tiny, benchmark/interface) plays a WAV file over I2S and takes the
times of the device's pins. This one sends the sound over the device's line and takes the device's own times.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from tinydeploy.errors import TinydeployError
from tinydeploy.link.mlperf_device import READY, MlperfDevice
from tinydeploy.link.pseudo_terminal import PseudoTerminal
from tinydeploy.mlperf import stream_runs
from tinydeploy.mlperf.sound import Recording
from tinydeploy.mlperf.stream_runs import Listening
from tinydeploy.progress import Progress

NAME = "stm32h573i-dk"  # by which the runner knows a board that plays sound
_EVERY = 8  # frames after which a line tells the runner that the sound goes on
_A_LINE = 8  # times in a line


class InterfaceBoard(PseudoTerminal):
    """A context manager in front of `device`, with the `recordings` on its card, at a terminal: `port`.

    `heard` is what the device made of each recording that was played, `transcript` what the runner and the
    board have said, "> " to the board and "< " from it. `error` is what ended the line.
    """

    def __init__(self, device: MlperfDevice, recordings: Sequence[Recording], progress: Progress) -> None:
        super().__init__(self._serve)
        self._device = device
        self._card = {recording.file: recording for recording in recordings}
        self._progress = progress
        self.heard: list[Listening] = []
        self.transcript: list[str] = []
        self.error: TinydeployError | None = None

    def _serve(self) -> None:
        pending = b""
        while not self.over:
            pending += self.said()
            while b"%" in pending:
                command, _, pending = pending.partition(b"%")
                text = command.decode("ascii", "replace").strip()
                self.transcript.append(f"> {text}%")
                try:
                    self._answer(text)
                except TinydeployError as error:
                    self.error = error
                    return

    def _say(self, *lines: str) -> None:
        self.transcript += [f"< {line}" for line in lines]
        os.write(self.ours, "".join(f"{line}\r\n" for line in lines).encode())

    def _answer(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        if word == "dut":
            self._say(f"m-dut-passthrough({rest})", READY)
            self._say(*(f"[dut]: {line}" for line in [*self._device.command(rest), READY]))
            return
        commands: dict[str, Callable[[str], Iterable[str]]] = {
            "name": lambda _: ["tinydeploy in place of the enhanced interface board"],
            "setbaud": lambda baud: [f"set baud to: {baud}"],
            "ls": lambda _: self._card,
            "record_detections": self._record,
            "play": self._play,
            "print_detections": self._detections,
            "print_dutycycle": self._spans,
        }
        if word in commands:
            for line in commands[word](rest):
                self._say(line)
        self._say(READY)

    def _record(self, _: str) -> list[str]:
        return ["Now recording detections"]

    def _play(self, file: str) -> Iterable[str]:
        if file not in self._card:
            return ["Error playing file. Check that the file exists and is a 2-channel wav file."]
        self._say(f"Attempting to play {file}")

        def told(what: str, done: int, total: int) -> None:
            self._progress(what, done, total)
            if done and done % _EVERY == 0:
                self._say(f"frame {done} of {total}")

        self.heard.append(stream_runs.play(self._device, self._card[file], told))
        return ["succeeded."]

    def _detections(self, _: str) -> list[str]:
        times = self.heard[-1].detections_ms if self.heard else []
        return ["Detection Timestamps (ms)", *(f"{time}," for time in times)]

    def _spans(self, _: str) -> list[str]:
        spans = self.heard[-1].spans_us if self.heard else []
        begins, ends = ([span[side] // 10 for span in spans] for side in (0, 1))
        return ["Duty cycle start times (s)", *_listed(begins), "Duty cycle stop times (s)", *_listed(ends)]


def _listed(times: Sequence[int]) -> list[str]:
    """Times of 10 us, as the board prints them."""
    return ["".join(f"{time}, " for time in times[at : at + _A_LINE]) for at in range(0, len(times), _A_LINE)]
