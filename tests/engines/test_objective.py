"""What `optimize` does to a model: outputs stay TFLite Micro's, and each goal is better at what it is for."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import bundle
import native
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_builder import ModelBuilder
from nightly import NIGHTLY, turn

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.engines.aot.objective import GOALS
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.errors import UsageError
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model
from tinydeploy.results.result import Result
from tinydeploy.results.setting import Layer

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models" / "mlperf-tiny"
BOARD = "mps2-an386"
MODELS = ("kws", "vww", "ic", "ad")


def mlperf(name: str) -> Path:
    path = SHARED / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{SHARED} is not there: the models are not part of the repository")
    return path


@cache
def measured(path: Path, goal: str) -> Result:
    return verbs.run(path, board=BOARD, samples=2, optimize=goal)[0]


def layers(graph: Graph, goal: str, board: str = BOARD) -> tuple[Layer, ...]:
    return AotEngine(goal).generate(graph, lookup.board(board)).layers


def network(seed: int, channels: int = 24, activation: str = "RELU") -> bytes:
    """Every kernel that a goal changes: a convolution, depthwise and pointwise ones, ADD, FULLY_CONNECTED."""
    random = np.random.default_rng(seed)
    model = ModelBuilder()

    def tensor(*shape: int) -> int:
        return model.tensor(
            shape, scale=float(random.uniform(0.05, 0.1)), zero_point=int(random.integers(-9, 9))
        )

    def weights(*shape: int, axis: int) -> int:
        scales = random.uniform(0.002, 0.02, shape[axis])
        return model.tensor(shape, scale=list(scales), axis=axis, data=random.integers(-127, 128, shape))

    steps = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
    x = tensor(1, 7, 9, 3)
    a, b, c, d = (tensor(1, 7, 9, channels) for _ in range(4))
    e, y = tensor(1, 7 * 9 * channels), tensor(1, 11)
    model.op(
        "CONV_2D", [x, weights(channels, 3, 3, 3, axis=0)], [a], **steps, fused_activation_function=activation
    )
    depthwise = weights(1, 3, 3, channels, axis=3)
    model.op(
        "DEPTHWISE_CONV_2D",
        [a, depthwise],
        [b],
        **steps,
        depth_multiplier=1,
        fused_activation_function="RELU6",
    )
    model.op("CONV_2D", [b, weights(channels, 1, 1, channels, axis=0)], [c], **steps)
    model.op("ADD", [c, b], [d])
    model.op("RESHAPE", [d], [e], new_shape=[1, 7 * 9 * channels])
    model.op("FULLY_CONNECTED", [e, weights(11, 7 * 9 * channels, axis=0)], [y])
    return model.build([x], [y])


@pytest.mark.parametrize(
    ("name", "goal"),
    turn([*product(MODELS, GOALS)], ("kws", "balanced"), ("ad", "ram")),
)
def test_costs_are_what_the_emulator_counts(name: str, goal: str) -> None:
    path = mlperf(name)
    result = measured(path, goal)
    assert result.optimize == goal
    assert result.parity is not None and result.parity.identical == result.parity.outputs
    estimates = {layer.op: layer.instructions for layer in layers(tflite_model.load(path), goal)}
    modelled = 0
    for cost in result.per_op:
        estimate = estimates[cost.index]
        if estimate is not None:
            modelled += 1
            assert abs(estimate - cost.count) <= 0.06 * cost.count + 60, (cost, estimate)
    assert modelled >= len(result.per_op) // 2


@pytest.mark.skipif(not NIGHTLY, reason="every goal of the four models: in make nightly")
@pytest.mark.parametrize("name", MODELS)
def test_each_goal_is_the_best_at_its_own(name: str) -> None:
    path = mlperf(name)
    results = {goal: measured(path, goal) for goal in GOALS}
    instructions = {goal: result.counts.median for goal, result in results.items()}
    flash = {goal: result.build.engine_flash_bytes or 0 for goal, result in results.items()}
    arenas = {goal: result.arena.bytes for goal, result in results.items()}
    assert min(instructions, key=instructions.__getitem__) == "speed"
    assert min(flash.values()) == flash["size"] > 0
    assert min(arenas.values()) == arenas["ram"]


@pytest.mark.parametrize("goal", turn(GOALS, "ram"))
@pytest.mark.parametrize("seed", turn(range(2), 0))
def test_random_networks_on_the_emulator(seed: int, goal: str, tmp_path: Path) -> None:
    model = tmp_path / "network.tflite"
    model.write_bytes(network(seed, channels=(24, 20)[seed], activation=("RELU", "NONE")[seed]))
    result = verbs.run(model, board=BOARD, samples=5, optimize=goal)[0]
    assert result.parity is not None and result.parity.identical == result.parity.outputs


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from(["NONE", "RELU", "RELU6"]))
@native.property_settings(1)
def test_random_networks(seed: int, fours: int, activation: str) -> None:
    for goal in GOALS:
        generate = AotEngine(goal).generate
        native.assert_parity([network(seed, 4 * fours, activation)], generate=generate)


@pytest.mark.parametrize("goal", turn(GOALS, "speed", "ram"))
def test_sanitizers_find_nothing(goal: str) -> None:
    model, generate = network(7, 12, "NONE"), AotEngine(goal).generate
    native.assert_parity([model], sanitize=True, generate=generate, kernels=[native.DSP])


def test_the_least_arena_is_the_least() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 3), scale=0.1), model.tensor((1, 2), scale=0.1)
    model.op("FULLY_CONNECTED", [x, model.tensor((2, 3), scale=0.1, data=np.ones((2, 3)))], [y])
    graph = tflite_model.parse(model.build([x], [y]), "tiny")
    plans = [AotEngine(goal).generate(graph, lookup.board(BOARD)).arena for goal in GOALS]
    assert all(plan is not None and plan.bytes <= 32 for plan in plans)


def test_speed_widens_only_what_the_flash_has_room_for() -> None:
    graph = tflite_model.parse(network(0), "network")
    assert {layer.kernel for layer in layers(graph, "speed") if "dsp" in layer.kernel} >= {
        "conv_2d_dsp wide",
        "pointwise_dsp wide",
    }
    constants = {goal: sum(layer.constant_bytes for layer in layers(graph, goal)) for goal in GOALS}
    assert constants["speed"] > constants["balanced"] >= constants["size"]


def test_cores_without_the_dsp_extension_have_nothing_to_widen_but_shorter_runs() -> None:
    graph = tflite_model.parse(network(0), "network")
    for board in ("mps2-an385", "nucleo_g071rb", "qemu-virt-rv32"):
        found = layers(graph, "speed", board)
        assert not any("wide" in layer.kernel for layer in found)
        assert all(layer.instructions is None for layer in found)
        small = bundle.code(AotEngine("size").generate(graph, lookup.board(board)))
        assert set(re.findall(r"kRun = (\d+)", small.split("Op 5")[0])) == {"4"}


def test_layers_with_equal_parameters_share_a_kernel_unless_speed_is_all() -> None:
    random = np.random.default_rng(1)
    model = ModelBuilder()
    x, *between = (model.tensor((1, 8, 8, 8), scale=0.05, zero_point=-128) for _ in range(5))
    for number, (source, y) in enumerate(pairwise([x, *between])):
        data = random.integers(-127, 128, (1, 3, 3, 8))
        w = model.tensor((1, 3, 3, 8), scale=list(random.uniform(0.002, 0.004, 8)), axis=3, data=data)
        options = {"stride_h": 1, "stride_w": 1, "padding": "SAME", "depth_multiplier": 1}
        options["fused_activation_function"] = "RELU" if number < 3 else "RELU6"
        model.op("DEPTHWISE_CONV_2D", [source, w], [y], **options)
    blob = model.build([x], [between[-1]])
    graph = tflite_model.parse(blob, "twins")
    # With this scale RELU6 bounds what RELU does not.
    for goal, structs, called in (("balanced", "03", "0003"), ("speed", "0123", "0123")):
        for board in native.KERNELS:
            code = bundle.code(AotEngine(goal).generate(graph, board))
            assert "".join(re.findall(r"struct Op(\d)", code)) == structs
            assert "".join(re.findall(r"<Op(\d)", code)) == called
        native.assert_parity([blob], generate=AotEngine(goal).generate)


def test_an_unknown_goal_is_a_users_mistake() -> None:
    with pytest.raises(UsageError, match="cannot optimize for 'beauty'"):
        AotEngine("beauty")
