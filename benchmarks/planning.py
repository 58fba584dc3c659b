"""Prints what `tinydeploy inspect` and `tinydeploy fit` take: CPU seconds, user and system, of one process.

    python benchmarks/planning.py [MODEL…]

Without models, the ones of models/ and MobileNetV2 (1.0, 224×224, int8) with random weights, made here: its
layers and scales are those of a trained one, so that plans and estimates are worked out for all of it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "tests" / "support"))
from model_builder import ModelBuilder  # noqa: E402

# t, c, n, s of Sandler et al., MobileNetV2 (arXiv:1801.04381), table 2.
_BLOCKS = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
Shape = tuple[int, int, int, int]


class _MobileNetV2:
    def __init__(self) -> None:
        self.model, self.random = ModelBuilder("MobileNetV2"), np.random.default_rng(0)

    def layer(
        self, x: int, shape: Shape, channels: int, kernel: int, stride: int, activation: str
    ) -> tuple[int, Shape]:
        """A convolution with so many output channels; 0 is a depthwise one."""
        depth, side = shape[3], -(-shape[1] // stride)
        made = channels or depth
        weights = (made, kernel, kernel, depth) if channels else (1, kernel, kernel, depth)
        scales = self.random.uniform(0.002, 0.01, made).tolist()
        data = self.random.integers(-127, 128, weights)
        kernel_ = self.model.tensor(weights, scale=scales, axis=0 if channels else 3, data=data)
        bias = self.model.tensor((made,), "int32", scale=1e-4, data=self.random.integers(-1000, 1000, made))
        output: Shape = (1, side, side, made)
        clamped = activation != "NONE"
        scale, zero_point = (0.0235, -128) if clamped else (0.2, 3)
        y = self.model.tensor(output, scale=scale, zero_point=zero_point)
        options = {"stride_h": stride, "stride_w": stride, "padding": "SAME"}
        if not channels:
            options["depth_multiplier"] = 1
        kind = "CONV_2D" if channels else "DEPTHWISE_CONV_2D"
        self.model.op(kind, [x, kernel_, bias], [y], fused_activation_function=activation, **options)
        return y, output

    def build(self) -> bytes:
        model = self.model
        first = model.tensor((1, 224, 224, 3), scale=1 / 127.5, zero_point=-1)
        x, shape = self.layer(first, (1, 224, 224, 3), 32, 3, 2, "RELU6")
        for expansion, channels, count, stride in _BLOCKS:
            for i in range(count):
                before, was, step = x, shape, stride if i == 0 else 1
                if expansion > 1:
                    x, shape = self.layer(x, shape, shape[3] * expansion, 1, 1, "RELU6")
                x, shape = self.layer(x, shape, 0, 3, step, "RELU6")
                x, shape = self.layer(x, shape, channels, 1, 1, "NONE")
                if step == 1 and was == shape:
                    total = model.tensor(shape, scale=0.25, zero_point=-2)
                    model.op("ADD", [before, x], [total])
                    x = total
        x, _ = self.layer(x, shape, 1280, 1, 1, "RELU6")
        mean = model.tensor((1, 1280), scale=0.0235, zero_point=-128)
        model.op("MEAN", [x, model.tensor((2,), "int32", data=[1, 2])], [mean])
        weights = model.tensor((1000, 1280), scale=0.004, data=self.random.integers(-127, 128, (1000, 1280)))
        scores = model.tensor((1, 1000), scale=0.1, zero_point=-20)
        model.op("FULLY_CONNECTED", [mean, weights, -1], [scores])
        classes = model.tensor((1, 1000), scale=1 / 256, zero_point=-128)
        model.op("SOFTMAX", [scores], [classes], beta=1.0)
        return model.build([first], [classes])


def _seconds(*arguments: str) -> float:
    """CPU seconds of one `tinydeploy` process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "tinydeploy", *arguments]
    subprocess.run(command, cwd=REPO, stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@click.command()
@click.argument("models", nargs=-1, type=click.Path(exists=True, path_type=Path))
def main(models: tuple[Path, ...]) -> None:
    """Prints a line for each model."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "mobilenet_v2_224.tflite"
        if not models:
            made.write_bytes(_MobileNetV2().build())
            models = (*sorted((REPO / "models").glob("*/*.tflite")), made)
        print(f"{'':24}  {'inspect':>9}  {'fit':>9}")
        for model in models:
            inspect, fit = (_seconds(verb, str(model)) for verb in ("inspect", "fit"))
            print(f"{model.stem:24}  {inspect:7.1f} s  {fit:7.1f} s", flush=True)


if __name__ == "__main__":
    main()
