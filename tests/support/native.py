"""Runs the aot engine's generated C++ on this machine, so that it can be compared with TFLite Micro.

outputs = native.run(graph, [x])                 one inference, in a process of its own
models = native.compile_all(graphs)              many graphs, a program of them for each processor
outputs = models[0].run([[x0], [x1], [x2]])      inferences in a row: variables keep their values
outputs = native.run_all(models, samples)        the same for many, in one process for each program
native.assert_parity(blobs)                      .tflite files against TFLite Micro, bit for bit

Each run paints the arena with junk before every inference (but for what must live on), keeps guard bytes
around it, and checks the hooks. `sanitize=True` compiles with the address and undefined-behaviour sanitizers,
and with every tensor at a distance from the others: no byte may be touched that belongs to none.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

import bundle
import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, Phase, settings
from nightly import NIGHTLY, turn
from tflite_micro import runtime

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.memory import allocator
from tinydeploy.engines.aot.memory.allocator import Buffer, Overlaps
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.engines.engine import EngineSources
from tinydeploy.host import paths
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

Array = npt.NDArray[np.generic]
Sample = Sequence[Array]
Generate = Callable[[Graph, Board], EngineSources]

# A nightly run looks at ten times as many random models.
FACTOR = 10 if NIGHTLY else 1

FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti", "-g0"]
SANITIZE = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1"]
TIMEOUT = 120
COMPILE_TIMEOUT = 600
RUNTIME = paths.FIRMWARE / "runtime"
GAP = 64  # bytes between tensors that must not touch each other's neighbourhood
MOST_IN_A_PROGRAM = 100

# A core with the kernels that run anywhere, and those whose own kernels also compile to portable C++.
PORTABLE = lookup.board("megaatmega2560")
DSP = lookup.board("mps2-an386")
MVE = lookup.board("mps3-an547")
SCALAR = tuple(map(lookup.board, ("mps2-an385", "nucleo_g071rb", "qemu-virt-rv32", "qemu-xtensa")))
KERNELS = (PORTABLE, DSP, MVE, *turn(SCALAR, *SCALAR[:3]))
BALANCED = AotEngine().generate


@dataclass(frozen=True, eq=False)
class Native:
    """A graph compiled for this machine: layer `index` of `program`."""

    graph: Graph
    sources: EngineSources
    program: Path
    index: int

    def run(self, samples: Sequence[Sample]) -> list[list[Array]]:
        """The outputs of each sample, in order, after one setup. AssertionError on a crash or an overrun."""
        code, output, error = _execute(self.program, self._job(samples))
        assert code == 0, f"exit code {code}: {error}"
        return self._outputs(memoryview(output), len(samples))

    def _job(self, samples: Sequence[Sample]) -> bytes:
        """What firmware_engines/bundle/native.cpp reads."""
        graph, plan = self.graph, self.sources.arena
        assert plan is not None
        lasting = [p for p in plan.placements if p.first == -1 and p.last == len(graph.ops)]
        kept = [p for p in lasting if not {*p.tensors} & {*graph.inputs}]
        header = [self.index, plan.bytes]
        for parts in (kept, plan.placements):
            header += [len(parts), *(number for part in parts for number in (part.offset, part.bytes))]
        data = [np.array([*header, len(samples)], np.uint32).tobytes()]
        for sample in samples:
            assert len(sample) == len(graph.inputs)
            for index, values in zip(graph.inputs, sample, strict=True):
                tensor = graph.tensors[index]
                assert values.dtype == tensor.dtype.numpy and values.size == tensor.elements
                data.append(values.tobytes())
        return b"".join(data)

    def _output_bytes(self, samples: int) -> int:
        return samples * sum(self.graph.tensors[index].bytes for index in self.graph.outputs)

    def _outputs(self, stream: memoryview, samples: int) -> list[list[Array]]:
        assert len(stream) == self._output_bytes(samples)
        results = []
        for _ in range(samples):
            result = []
            for tensor in (self.graph.tensors[index] for index in self.graph.outputs):
                values = np.frombuffer(stream[: tensor.bytes], tensor.dtype.numpy)
                result.append(values.reshape(tensor.shape))
                stream = stream[tensor.bytes :]
            results.append(result)
        return results


def _execute(program: Path, data: bytes) -> tuple[int, bytes, str]:
    done = subprocess.run([program], input=data, capture_output=True, timeout=TIMEOUT)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def run_all(
    models: Sequence[Native], samples: Sequence[Sequence[Sample]]
) -> list[list[list[Array]] | AssertionError]:
    """`run` of each model on its samples; an error instead of the outputs of one that fails."""
    results: list[list[list[Array]] | AssertionError] = []
    for _, group in itertools.groupby(zip(models, samples, strict=True), lambda pair: pair[0].program):
        pairs = list(group)
        data = b"".join(model._job(some) for model, some in pairs)
        code, output, _ = _execute(pairs[0][0].program, data)
        stream = memoryview(output)
        for model, some in pairs:
            if code == 0:
                size = model._output_bytes(len(some))
                results.append(model._outputs(stream[:size], len(some)))
                stream = stream[size:]
            else:
                results.append(_run_alone(model, some))
    return results


def _run_alone(model: Native, samples: Sequence[Sample]) -> list[list[Array]] | AssertionError:
    try:
        return model.run(samples)
    except AssertionError as error:
        return error


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tinydeploy-native-")


def _compile(*arguments: str | Path) -> None:
    done = subprocess.run(["g++", *arguments], capture_output=True, text=True, timeout=COMPILE_TIMEOUT)
    assert done.returncode == 0, done.stderr


@cache
def _main(flags: tuple[str, ...]) -> Path:
    folder = Path(tempfile.mkdtemp(dir=_folder().name))
    _compile(*flags, f"-I{RUNTIME}", "-c", bundle.FOLDER / "native.cpp", "-o", folder / "main.o")
    return folder / "main.o"


def _apart(buffers: Sequence[Buffer], overlaps: Overlaps) -> list[int]:
    """Offsets with a gap after each buffer, in place of planner.plan()."""
    sizes = [allocator.align(buffer.bytes) + GAP for buffer in buffers]
    return [GAP + sum(sizes[:i]) for i in range(len(sizes))]


def compile_all(
    graphs: Sequence[Graph],
    sanitize: bool = False,
    board: Board = PORTABLE,
    generate: Generate = BALANCED,
) -> list[Native]:
    """Each graph through the aot engine and g++, with the kernels that `board` would get."""
    with _planned(sanitize):
        return compile_sources(graphs, [generate(graph, board) for graph in graphs], sanitize)


def _planned(apart: bool) -> AbstractContextManager[object]:
    """While it lasts, plans take little time; `apart` puts every tensor at a distance from the others."""
    if apart:
        return mock.patch.object(allocator, "plan", _apart)
    return mock.patch.object(allocator, "PLACEMENTS", 2000)


def compile_sources(
    graphs: Sequence[Graph], sources: Sequence[EngineSources], sanitize: bool = False
) -> list[Native]:
    """The graphs compiled from what was generated for them."""
    flags = (*FLAGS, *(SANITIZE if sanitize else ()))
    main = _main(flags)
    models = [bundle.Model(graph, some) for graph, some in zip(graphs, sources, strict=True)]
    programs = os.cpu_count() or 1
    programs = max(min(programs, len(models)), -(-len(models) // MOST_IN_A_PROGRAM))
    size = -(-len(models) // programs) if models else 1

    def compile_some(some: Sequence[bundle.Model]) -> list[Native]:
        folder = Path(tempfile.mkdtemp(dir=_folder().name))
        for path, text in bundle.files(some).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "all.cpp").write_text('#include "models0.cpp"\n#include "layers.cpp"\n')
        _compile(*flags, f"-I{RUNTIME}", folder / "all.cpp", main, "-o", folder / "program")
        return [Native(model.graph, model.sources, folder / "program", i) for i, model in enumerate(some)]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        groups = pool.map(compile_some, (models[i : i + size] for i in range(0, len(models), size)))
        return [native for group in groups for native in group]


def property_settings(examples: int) -> settings:
    """Hypothesis settings for tests that compile: no deadline, no shrinking (hundreds of compilations)."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(
        max_examples=examples * FACTOR, deadline=None, phases=phases, suppress_health_check=checks
    )


def run(graph: Graph, inputs: Sample, sanitize: bool = False) -> list[Array]:
    """The outputs of one inference."""
    return compile_all([graph], sanitize)[0].run([inputs])[0]


def tflm(model: bytes, samples: Sequence[Sample]) -> list[list[Array]]:
    """What TFLite Micro's interpreter makes of the same samples, in a row."""
    graph = tflite_model.parse(model, "model.tflite")
    interpreter = runtime.Interpreter.from_bytes(graph.content, arena_size=4 << 20)
    results = []
    for sample in samples:
        for i, values in enumerate(sample):
            interpreter.set_input(values.reshape(graph.tensors[graph.inputs[i]].shape), i)
        interpreter.invoke()
        results.append([np.array(interpreter.get_output(i)) for i in range(len(graph.outputs))])
    return results


def random_samples(graph: Graph, count: int, seed: int = 0) -> list[list[Array]]:
    """Inputs for `graph`: the smallest values, the largest ones, and random ones of the whole range.

    On a board, firmware_engines/bundle/engine.cpp makes the same.
    """

    def values(position: int, sample: int) -> Array:
        tensor = graph.tensors[graph.inputs[position]]
        fill = bundle.fill_of(graph, tensor)
        start = ((seed * 64 + position) * 256 + sample) << 20
        drawn = np.arange(start + 1, start + 1 + tensor.elements, dtype=np.uint64)
        drawn = (drawn ^ (drawn >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        drawn ^= drawn >> np.uint64(33)
        steps = {0: np.zeros_like(drawn), 1: np.full_like(drawn, (fill.span - 1) % 2**64)}.get(
            sample, drawn % np.uint64(fill.span) if fill.span else drawn
        )
        numbers = (np.uint64(fill.low % 2**64) + steps).view(np.int64)
        made = numbers / 16 if fill.is_float else numbers
        return made.astype(tensor.dtype.numpy).reshape(tensor.shape)

    return [[values(i, sample) for i in range(len(graph.inputs))] for sample in range(count)]


def assert_parity(
    models: Sequence[bytes],
    samples: int = 4,
    seed: int = 0,
    sanitize: bool = False,
    generate: Generate = BALANCED,
    kernels: Sequence[Board] | None = None,
) -> None:
    """Every output of every model equals TFLite Micro's, for `samples` inputs each and all `kernels`.

    Beside DSP's and MVE's, models are compiled with the kernels of one other core each unless `kernels` says
    so: with all by night.

    With `sanitize`, which makes slow programs, many models take turns: each has the kernels of one core.
    """
    if kernels is None:
        others = (PORTABLE, *SCALAR)
        kernels = KERNELS if NIGHTLY else (DSP, MVE, others[zlib.crc32(b"".join(models)) % len(others)])
    taking_turns = sanitize and FACTOR == 1 and len(models) >= len(kernels)
    graphs = [tflite_model.parse(model, f"model {i}") for i, model in enumerate(models)]
    expected = [
        tflm(model, random_samples(graph, samples, seed)) for model, graph in zip(models, graphs, strict=True)
    ]
    seen: set[str] = set()
    for share, board in enumerate(kernels):
        fresh = []
        for number, (graph, reference) in enumerate(zip(graphs, expected, strict=True)):
            if taking_turns and number % len(kernels) != share:
                continue
            with _planned(sanitize):
                sources = generate(graph, board)
            if code(sources) not in seen:
                fresh.append((graph, sources, reference))
            seen.add(code(sources))
        compiled = compile_sources([each[0] for each in fresh], [each[1] for each in fresh], sanitize)
        given = [random_samples(graph, samples, seed) for graph, _, _ in fresh]
        for native, inputs, ours, (_, _, reference) in zip(
            compiled, given, run_all(compiled, given), fresh, strict=True
        ):
            if isinstance(ours, AssertionError):
                raise ours
            _assert_equal(native.graph, inputs, ours, reference, board)


def code(sources: EngineSources) -> str:
    """What tells two models' programs apart."""
    return bundle.code(sources) + "".join(
        text for path, text in sources.files.items() if path.endswith("_data.cpp") or path in sources.kernels
    )


def _assert_equal(
    graph: Graph, inputs: list[list[Array]], ours: list[list[Array]], theirs: list[list[Array]], board: Board
) -> None:
    for sample, our, their in zip(inputs, ours, theirs, strict=True):
        for output, (mine, expected) in enumerate(zip(our, their, strict=True)):
            kinds = [op.kind for op in graph.ops]
            assert np.array_equal(mine, expected.reshape(mine.shape)), (
                f"{graph.path}, {kinds} for {board.id}: output {output} is {mine.ravel()[:20]} "
                f"instead of {expected.ravel()[:20]} for {[x.ravel()[:20] for x in sample]}"
            )
