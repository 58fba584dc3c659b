"""MLPerf Tiny's official runner, run as it is from a folder of the user's, in front of an emulated device."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.errors import ToolError, UsageError
from tinydeploy.firmware.mlperf_tiny import Benchmark
from tinydeploy.link.channel import BAUD
from tinydeploy.mlperf import runner_launcher, sound
from tinydeploy.mlperf.datasets import TRUTH
from tinydeploy.targets.process import kept

MODES = {"performance": "p", "accuracy": "a"}
FILES = ("log.txt", "results.txt", "results.json")
_NEEDS = "it needs numpy, scikit-learn, matplotlib, pyserial, pyusb and pyyaml"
_SCRIPT, _DEVICES = "tests.json", "devices.json"  # YAML's parser reads JSON


@dataclass(frozen=True)
class OfficialRunner:
    """The runner: the folder of its main.py, and the Python that has its packages."""

    folder: Path
    python: str

    @classmethod
    def at(cls, folder: Path, python: str) -> OfficialRunner:
        """The runner in `folder`, a clone of mlcommons/tiny or its benchmark/runner. UsageError if none."""
        for place in (folder, folder / "benchmark" / "runner"):
            if (place / "main.py").is_file() and (place / "device_under_test.py").is_file():
                return cls(place.resolve(), python)
        raise UsageError(
            f"{folder} does not hold MLPerf Tiny's runner", "git clone https://github.com/mlcommons/tiny"
        )

    def run(
        self,
        mode: str,
        port: str,
        script: Mapping[str, Any],
        data: Path,
        work: Path,
        seconds: float,
        interface: str = "",
    ) -> dict[str, bytes]:
        """A session with the device at `port`, in the folder `work`: what it wrote, FILES by their names.

        With `interface` that is an interface board of this name, and the device is behind it.
        Raises ToolError if it fails, or takes longer than `seconds`.
        """
        work.mkdir(parents=True, exist_ok=True)
        found = {"usb": {str(runner_launcher.VID): runner_launcher.PID}}
        devices: list[dict[str, Any]] = [
            {"name": "tinydeploy", "type": "dut", "baud": BAUD} | ({} if interface else found)
        ]
        if interface:
            devices.append({"name": interface, "type": "interface", "baud": BAUD, **found})
        (work / _SCRIPT).write_text(json.dumps(script))
        (work / _DEVICES).write_text(_with_numbers(json.dumps(devices)))
        command = [self.python, str(Path(runner_launcher.__file__).resolve()), port, str(self.folder)]
        command += ["-d", _DEVICES, "-t", _SCRIPT, "-s", str(data.resolve()), "-m", MODES[mode]]
        environment = {**os.environ, "MPLBACKEND": "Agg"}
        try:
            done = subprocess.run(
                command,
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"MLPerf Tiny's runner has not ended after {seconds:.0f} s") from error
        except OSError as error:
            raise ToolError(
                f"{self.python} cannot be started: {error.strerror}", "name it with --runner-python"
            ) from error
        sessions = sorted((work / "sessions").glob("*/results.json"))
        if done.returncode or not sessions:
            said = done.stdout + done.stderr
            last = (said.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
            raise ToolError(
                f"MLPerf Tiny's runner failed: {last}", f"{_NEEDS}; all it said is in {kept('mlperf', said)}"
            )
        return {name: (sessions[-1].parent / name).read_bytes() for name in FILES}


def _with_numbers(text: str) -> str:
    """JSON whose USB ids are numbers as keys, which only YAML has."""
    return text.replace(f'"{runner_launcher.VID}":', f"{runner_launcher.VID}:")


def test_script(benchmark: Benchmark, mode: str, inferences: int, warmups: int) -> dict[str, Any]:
    """What the runner is to do: five windows of so many inferences, each sample once, or a stream."""
    if benchmark.streams:
        return {
            benchmark.id: {
                "name": benchmark.title,
                "model": benchmark.id,
                "truth_file": sound.TRUTH,
                "script": ["stream"],
            }
        }
    steps = ["download", f"infer {inferences} {warmups}" if mode == "performance" else "infer 1 0"]
    loop = "loop 5" if mode == "performance" else "loop"
    entry = {
        "name": benchmark.title,
        "model": benchmark.data_folder,
        "truth_file": TRUTH,
        "script": [{loop: steps}],
    }
    return {benchmark.id: entry}
