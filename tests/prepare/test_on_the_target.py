"""What `quantize` makes of random nets, on an emulated Cortex-M4F: TFLite Micro's outputs, bit for bit.

One firmware for the nets from ONNX, and one for those from Keras, which need the training environment.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import bundle
import many_on_board
import native
import numpy as np
import onnx_nets
import pytest
from nightly import NIGHTLY

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.engines.aot.pipeline import GOALS, AotEngine
from tinydeploy.errors import ModelError
from tinydeploy.model import card as cards
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model
from tinydeploy.prepare import training_child

SUPPORT = Path(__file__).resolve().parents[1] / "support"
FROM_ONNX = 60 if NIGHTLY else 6
FROM_KERAS = 40 if NIGHTLY else 5
SAMPLES = 4
BOARD = "mps2-an386"


def differing(graphs: Sequence[Graph]) -> list[str]:
    """Which of the graphs have other outputs on the board than TFLite Micro has on this machine."""
    board, models, expected = lookup.board(BOARD), [], []
    for seed, graph in enumerate(graphs):
        models.append(bundle.Model(graph, AotEngine(GOALS[seed % len(GOALS)]).generate(graph, board), seed))
        samples = native.random_samples(graph, SAMPLES, seed)
        outputs = native.tflm(graph.content, samples)
        expected.append([many_on_board.checksum(of_sample) for of_sample in outputs])
    found = many_on_board.built(models, SAMPLES, board).checksums()
    rows = zip(graphs, found, expected, strict=True)
    return [
        f"{graph.path}: {[op.kind for op in graph.ops]}" for graph, ours, theirs in rows if ours != theirs
    ]


def test_onnx_nets_with_qdq() -> None:
    """On the board, and near to ONNX Runtime.

    How far an operator is from that by itself test_onnx.py tells. Here that adds up, most where means,
    branches of unlike scales or a Softmax are.
    """
    graphs, near, means = [], [], []
    for seed in range(FROM_ONNX):
        model, x = onnx_nets.random_net(seed)
        qdq = onnx_nets.with_qdq(model, x, unsigned=bool(seed % 2), per_channel=seed % 5 > 0)
        found, graph = onnx_nets.codes_off(qdq, x)
        graphs.append(graph)
        (means if onnx_nets.has_means(seed) else near).append((found < 1.5).ravel())
    assert differing(graphs) == []
    assert np.concatenate(near).mean() >= 0.99
    assert np.concatenate(means).mean() >= 0.9  # of 40 of them 0.96


@pytest.mark.train
def test_keras_nets(tmp_path: Path) -> None:
    """Every eighth is of LSTM layers, which ai-edge-quantizer leaves in float: TensorFlow quantises it."""
    seeds = [str(seed) for seed in range(FROM_KERAS)]
    python = training_child.python("the tests")
    command = [python, SUPPORT / "random_keras.py", tmp_path, *seeds]
    subprocess.run(command, check=True, capture_output=True)
    graphs, instead = [], []
    for seed in map(int, seeds):
        shape = (24, 3) if seed % 4 == 0 else (9, 8, 2)
        x = np.random.default_rng(seed).normal(0, 1, (100, *shape)).astype(np.float32)
        made = verbs.quantize(tmp_path / f"net{seed}.keras", (x,), out=tmp_path / f"out{seed}")
        graphs.append(tflite_model.load(made.path))
        card = cards.load(made.path)
        assert made.quantized is not None and card is not None
        assert ("TensorFlow" in card.made) == ("LSTM" in made.quantized.instead)
        instead += [seed] if made.quantized.instead else []
    assert instead == [seed for seed in map(int, seeds) if seed % 8 == 4]
    assert differing(graphs) == []
    x = np.random.default_rng(4).normal(size=(100, 24, 3)).astype(np.float32)
    with pytest.raises(ModelError, match="neither repairs nor has weights of 4 bits"):
        verbs.quantize(tmp_path / "net4.keras", (x,), out=tmp_path / "none", repair=True)
    assert not (tmp_path / "none").exists()
