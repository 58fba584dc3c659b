"""Prints what exported libraries take of a Cortex-M4F, and a dense net beside emlearn's of the same shape.

    python benchmarks/export_size.py [MODEL…] [--emlearn PYTHON]

Each library is linked with a program that builds the model, runs it and reads its output; a program that does
nothing is taken off, the C library's functions that only one of them calls are not. PYTHON is an interpreter
that has emlearn and scikit-learn. emlearn's net is float32, its features too. The dense net is 600-6-4: the
input and output of models/motion, and about as many weights.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from model_builder import ModelBuilder

from tinydeploy import verbs

MOTION = Path(__file__).resolve().parents[1] / "models" / "motion"
CORE = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
FLAGS = ["-O2", "-ffunction-sections", "-fdata-sections"]
LINK = ["-nostartfiles", "-Wl,-e,main,--gc-sections", "--specs=nano.specs", "--specs=nosys.specs"]
NOTHING = "int main(void) { return 0; }\n"
LIBRARY = """
#include "NAME.h"
static uint8_t arena[BIG_ARENA_BYTES] BIG_ALIGNED;
static NAME_model model;
int main(void) {
  if (NAME_init(&model, arena, sizeof arena) != BIG_OK) return -1;
  NAME_input(&model)[0] = 1;
  NAME_run(&model);
  return NAME_output(&model)[0];
}
"""
EMLEARN = """
#include "dense.h"
static float features[600];
int main(void) { features[0] = 1; return dense_predict(features, 600); }
"""
TRAIN = """
import sys, warnings
import numpy as np, emlearn
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
random = np.random.default_rng(0)
net = MLPClassifier((6,), max_iter=1).fit(random.normal(size=(40, 600)), np.arange(40) % 4)
emlearn.convert(net, method="inline").save(name="dense", file=sys.argv[1])
print(emlearn.includedir)
"""


@dataclass(frozen=True)
class Size:
    """Bytes of flash and of static RAM."""

    flash: int
    ram: int


def _run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise click.ClickException(done.stdout + done.stderr)
    return done.stdout


def size(folder: Path, main: str, include: Path, sources: list[Path]) -> Size:
    """What a program of `main` and these sources takes, linked in `folder`."""
    (folder / "main.c").write_text(main)
    objects = []
    for number, source in enumerate([folder / "main.c", *sources]):
        objects.append(folder / f"{number}.o")
        language = (
            ["g++", "-std=c++17", "-fno-exceptions", "-fno-rtti"]
            if source.suffix == ".cpp"
            else ["gcc", "-std=gnu11"]
        )
        compiler = [f"arm-none-eabi-{language[0]}", *language[1:]]
        _run(*compiler, *CORE, *FLAGS, f"-I{include}", "-c", source, "-o", objects[-1])
    _run("arm-none-eabi-gcc", *CORE, *LINK, *objects, "-o", folder / "program.elf", "-lm")
    text, data, bss = map(int, _run("arm-none-eabi-size", folder / "program.elf").splitlines()[1].split()[:3])
    return Size(text + data, data + bss)


def dense() -> bytes:
    """An int8 net of the shape 600-6-4."""
    random, model = np.random.default_rng(0), ModelBuilder()
    x = before = model.tensor((1, 600), scale=0.1)
    for inputs, outputs in ((600, 6), (6, 4)):
        weights = model.tensor(
            (outputs, inputs), scale=0.01, data=random.integers(-127, 128, (outputs, inputs))
        )
        after = model.tensor((1, outputs), scale=0.2, zero_point=-128 if outputs == 6 else 0)
        activation = "RELU" if outputs == 6 else "NONE"
        model.op("FULLY_CONNECTED", [before, weights], [after], fused_activation_function=activation)
        before = after
    y = model.tensor((1, 4), scale=1 / 256, zero_point=-128)
    model.op("SOFTMAX", [before], [y], beta=1.0)
    return model.build([x], [y])


@click.command()
@click.argument("models", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--emlearn", "python", help="An interpreter that has emlearn and scikit-learn.")
def main(models: tuple[Path, ...], python: str | None) -> None:
    """See the module's documentation."""
    click.echo("| | Flash | Static RAM |\n|---|--:|--:|")
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        (root / "dense.tflite").write_bytes(dense())
        base = size(root, NOTHING, root, [])

        def row(name: str, main: str, include: Path, sources: list[Path]) -> None:
            found = size(root, main, include, sources)
            click.echo(f"| {name} | {found.flash - base.flash:,} | {found.ram - base.ram:,} |")

        for model in (*(models or (MOTION,)), root / "dense.tflite"):
            library = verbs.export(model, root / f"library-{model.stem}", core="cortex-m4f", samples=1)
            name = next(library.glob("include/*.h")).stem
            text = LIBRARY.replace("NAME", name).replace("BIG", name.upper())
            row(f"{name}, exported", text, library / "include", sorted(library.glob("src/*.cpp")))
        if python:
            include = _run(python, "-c", TRAIN, root / "dense.h", cwd=root).strip()
            row("dense, emlearn", EMLEARN, Path(include), [])


if __name__ == "__main__":
    main()
