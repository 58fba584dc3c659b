"""Runs the aot engine's generated C++ on this machine, so that it can be compared with TFLite Micro.

outputs = native.run(graph, [x])                 one inference, in a process of its own
models = native.compile_all(graphs)              many graphs, compiled in parallel (0.1 to 0.3 s each)
outputs = models[0].run([[x0], [x1], [x2]])      inferences in a row: variables keep their values
native.assert_parity(blobs)                      .tflite files against TFLite Micro, bit for bit

Each run paints the arena with junk before every inference (but for what must live on), keeps guard bytes
around it, and checks the hooks. `sanitize=True` compiles with the address and undefined-behaviour sanitizers.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, Phase, settings
from tflite_micro import runtime

from tinydeploy import boards, paths, tflite_model
from tinydeploy.boards import Board
from tinydeploy.engines import EngineSources
from tinydeploy.engines.aot import AotEngine
from tinydeploy.graph import DType, Graph, Tensor, positions_below

Array = npt.NDArray[np.generic]
Sample = Sequence[Array]
Generate = Callable[[Graph, Board], EngineSources]

# A nightly run looks at ten times as many random models.
FACTOR = 10 if os.environ.get("TINYDEPLOY_NIGHTLY") else 1

FLAGS = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti", "-g0"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1"]
TIMEOUT = 120

# A core with the kernels that run anywhere, and those whose own kernels also compile to portable C++.
PORTABLE = boards.board("megaatmega2560")
DSP = boards.board("mps2-an386")
MVE = boards.board("mps3-an547")
SCALAR = tuple(map(boards.board, ("mps2-an385", "nucleo_g071rb", "qemu-virt-rv32")))
KERNELS = (PORTABLE, DSP, MVE, *SCALAR)
BALANCED = AotEngine().generate

MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"

using namespace tinydeploy;

static uint32_t hooks = 0;
static uint32_t seed = 1;

static void fail(const char* why) {
  fprintf(stderr, "%s\n", why);
  exit(3);
}

static uint32_t number() {
  uint32_t value = 0;
  if (fread(&value, 4, 1, stdin) != 1) fail("stdin is too short");
  return value;
}

static void paint(uint8_t* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525 + 1013904223;
    bytes[i] = static_cast<uint8_t>(seed >> 24);
  }
}

static void hook(uint32_t op) {
  if (op > hooks) fail("hooks are out of order");  // an op in stripes has several turns
  if (op == hooks) ++hooks;
}

int main() {
  const uint32_t bytes = number();
  const uint32_t kept = number();
  uint32_t* keep = static_cast<uint32_t*>(malloc(8 * kept + 8));
  for (uint32_t i = 0; i < 2 * kept; ++i) keep[i] = number();
  const uint32_t guard = 256;
  uint8_t* memory = static_cast<uint8_t*>(aligned_alloc(16, bytes + 2 * guard));
  uint8_t* old = static_cast<uint8_t*>(malloc(bytes + 1));
  uint8_t* arena = memory + guard;
  memset(memory, 0xA5, bytes + 2 * guard);
  paint(arena, bytes);
  if (bytes > 0 && engine::setup(arena, bytes - 1) != Status::kArenaTooSmall) fail("a smaller arena passed");
  if (engine::setup(arena, bytes) != Status::kOk) fail("setup failed");
  const uint32_t samples = number();
  for (uint32_t sample = 0; sample < samples; ++sample) {
    memcpy(old, arena, bytes);
    paint(arena, bytes);
    for (uint32_t i = 0; i < kept; ++i) memcpy(arena + keep[2 * i], old + keep[2 * i], keep[2 * i + 1]);
    for (uint32_t i = 0; i < engine::kDescription.inputs; ++i) {
      const Span span = engine::input(i);
      if (fread(span.data, 1, span.bytes, stdin) != span.bytes) fail("stdin is too short");
    }
    hooks = 0;
    if (engine::invoke(sample % 2 == 0 ? hook : nullptr) != Status::kOk) fail("invoke failed");
    if (sample % 2 == 0 && hooks != engine::kDescription.ops) fail("hooks are missing");
    for (uint32_t i = 0; i < engine::kDescription.outputs; ++i) {
      const Span span = engine::output(i);
      fwrite(span.data, 1, span.bytes, stdout);
    }
    for (uint32_t i = 0; i < guard; ++i) {
      if (memory[i] != 0xA5 || arena[bytes + i] != 0xA5) fail("wrote beyond the arena");
    }
  }
  free(memory);
  free(old);
  free(keep);
  return 0;
}
"""


@dataclass(frozen=True, eq=False)
class Native:
    """A graph compiled for this machine."""

    graph: Graph
    sources: EngineSources
    program: Path

    def run(self, samples: Sequence[Sample]) -> list[list[Array]]:
        """The outputs of each sample, in order, after one setup. AssertionError on a crash or an overrun."""
        graph, plan = self.graph, self.sources.arena
        assert plan is not None
        lasting = [p for p in plan.placements if p.first == -1 and p.last == len(graph.ops)]
        kept = [p for p in lasting if not {*p.tensors} & {*graph.inputs}]
        header = [plan.bytes, len(kept), *(n for p in kept for n in (p.offset, p.bytes)), len(samples)]
        data = np.array(header, np.uint32).tobytes()
        for sample in samples:
            assert len(sample) == len(graph.inputs)
            for index, values in zip(graph.inputs, sample, strict=True):
                tensor = graph.tensors[index]
                assert values.dtype == tensor.dtype.numpy and values.size == tensor.elements
                data += values.tobytes()
        done = subprocess.run([self.program], input=data, capture_output=True, timeout=TIMEOUT)
        assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr.decode(errors='replace')}"
        outputs = [graph.tensors[index] for index in graph.outputs]
        assert len(done.stdout) == len(samples) * sum(tensor.bytes for tensor in outputs)
        stream = memoryview(done.stdout)
        results = []
        for _ in samples:
            result = []
            for tensor in outputs:
                values = np.frombuffer(stream[: tensor.bytes], tensor.dtype.numpy)
                result.append(values.reshape(tensor.shape))
                stream = stream[tensor.bytes :]
            results.append(result)
        return results


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tinydeploy-native-")


def _compile(*arguments: str | Path) -> None:
    done = subprocess.run(["g++", *arguments], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr


@cache
def _main(flags: tuple[str, ...]) -> Path:
    folder = Path(tempfile.mkdtemp(dir=_folder().name))
    (folder / "main.cpp").write_text(MAIN)
    _compile(*flags, f"-I{paths.FIRMWARE / 'runtime'}", "-c", folder / "main.cpp", "-o", folder / "main.o")
    return folder / "main.o"


def compile_all(
    graphs: Sequence[Graph],
    sanitize: bool = False,
    board: Board = PORTABLE,
    generate: Generate = BALANCED,
) -> list[Native]:
    """Each graph through the aot engine and g++, with the kernels that `board` would get."""
    flags = (*FLAGS, *(SANITIZE if sanitize else ()))
    main = _main(flags)

    def compile_one(graph: Graph) -> Native:
        sources = generate(graph, board)
        folder = Path(tempfile.mkdtemp(dir=_folder().name))
        for path, text in sources.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "all.cpp").write_text('#include "src/model.cpp"\n#include "src/model_data.cpp"\n')
        _compile(*flags, f"-I{paths.FIRMWARE / 'runtime'}", folder / "all.cpp", main, "-o", folder / "model")
        return Native(graph, sources, folder / "model")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, graphs))


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
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=4 << 20)
    graph = tflite_model.parse(model, "model.tflite")
    results = []
    for sample in samples:
        for i, values in enumerate(sample):
            interpreter.set_input(values.reshape(graph.tensors[graph.inputs[i]].shape), i)
        interpreter.invoke()
        results.append([np.array(interpreter.get_output(i)) for i in range(len(graph.outputs))])
    return results


def random_samples(graph: Graph, count: int, seed: int = 0) -> list[list[Array]]:
    """Inputs for `graph`: the smallest values, the largest ones, and random ones of the whole range."""
    random = np.random.default_rng(seed)

    def values(tensor: Tensor, kind: int) -> Array:
        dtype = tensor.dtype
        if dtype is DType.FLOAT32:
            low, high = -8, 8
            drawn: Array = random.uniform(low, high, tensor.shape)
        else:
            limits = np.iinfo(dtype.value) if dtype is not DType.BOOL else None
            low, high = (limits.min, limits.max) if limits else (0, 1)
            if (bound := positions_below(graph, tensor)) is not None:
                low, high = 0, bound - 1
            drawn = random.integers(low, high, tensor.shape, dtype=np.int64, endpoint=True)
        extremes = {0: low, 1: high}
        return (np.full(tensor.shape, extremes[kind]) if kind in extremes else drawn).astype(dtype.numpy)

    return [[values(graph.tensors[index], kind) for index in graph.inputs] for kind in range(count)]


def assert_parity(
    models: Sequence[bytes],
    samples: int = 4,
    seed: int = 0,
    sanitize: bool = False,
    generate: Generate = BALANCED,
) -> None:
    """Every output of every model equals TFLite Micro's, for `samples` inputs each and all KERNELS."""
    graphs = [tflite_model.parse(model, f"model {i}") for i, model in enumerate(models)]
    expected = [
        tflm(model, random_samples(graph, samples, seed)) for model, graph in zip(models, graphs, strict=True)
    ]
    seen: set[str] = set()
    for board in KERNELS:
        fresh = []
        for graph, reference in zip(graphs, expected, strict=True):
            files = generate(graph, board).files
            content = "".join(text for path, text in files.items() if path != "src/model_data.h")
            if content not in seen:
                fresh.append((graph, reference))
            seen.add(content)
        compiled = compile_all([graph for graph, _ in fresh], sanitize, board, generate)
        for native, (_, reference) in zip(compiled, fresh, strict=True):
            _assert_equal(native, random_samples(native.graph, samples, seed), reference, board)


def _assert_equal(
    native: Native, inputs: list[list[Array]], reference: list[list[Array]], board: Board
) -> None:
    for sample, ours, theirs in zip(inputs, native.run(inputs), reference, strict=True):
        for output, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
            kinds = [op.kind for op in native.graph.ops]
            assert np.array_equal(mine, expected.reshape(mine.shape)), (
                f"{native.graph.path}, {kinds} for {board.id}: output {output} is {mine.ravel()[:20]} "
                f"instead of {expected.ravel()[:20]} for {[x.ravel()[:20] for x in sample]}"
            )
