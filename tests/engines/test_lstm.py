"""The LSTM equals TFLite Micro's in every order, size and scale, inference after inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import native
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_builder import ModelBuilder

from tinydeploy.engines.aot.arithmetic.tables import sigmoid_entries
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.host.reference import Reference
from tinydeploy.model.readers import tflite_model


@dataclass(frozen=True)
class Lstm:
    """An LSTM with random weights, followed by nothing."""

    batches: int = 1
    steps: int = 5
    depth: int = 3
    units: int = 4
    time_major: bool = False
    cell_power: float = -11
    cell_clip: float = 0.0
    input_scale: float = 0.02
    input_zero_point: int = 3
    hidden_scale: float = 1 / 128
    hidden_zero_point: int = -5
    weight_scale: float = 0.01
    seed: int = 0

    def build(self, **changes: Any) -> bytes:
        """`changes`: weights_type, bias_type, weight_zero_point, per_channel, peephole, op options."""
        random = np.random.default_rng(self.seed)
        model = ModelBuilder()
        leading = (self.steps, self.batches) if self.time_major else (self.batches, self.steps)
        x = model.tensor((*leading, self.depth), scale=self.input_scale, zero_point=self.input_zero_point)

        def weights(depth: int) -> int:
            scale = self.weight_scale * random.uniform(0.5, 2)
            per_channel = changes.get("per_channel", False)
            return model.tensor(
                (self.units, depth),
                data=random.integers(-127, 128, (self.units, depth)),
                scale=[scale] * self.units if per_channel else scale,
                zero_point=changes.get("weight_zero_point", 0),
            )

        gates = [weights(self.depth) for _ in range(4)] + [weights(self.units) for _ in range(4)]
        peepholes = [-1, -1, -1]
        if changes.get("peephole"):
            peepholes[1] = model.tensor((self.units,), "int16", data=np.ones(self.units), scale=1.0)
        biases = [
            model.tensor((self.units,), "int32", data=random.integers(-4000, 4000, self.units), scale=1e-4)
            for _ in range(4)
        ]
        hidden = model.tensor(
            (self.batches, self.units),
            scale=self.hidden_scale,
            zero_point=self.hidden_zero_point,
            variable=True,
        )
        cell = model.tensor((self.batches, self.units), "int16", scale=2.0**self.cell_power, variable=True)
        y = model.tensor((*leading, self.units), scale=self.hidden_scale, zero_point=self.hidden_zero_point)
        model.op(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            [x, *gates, *peepholes, *biases, -1, -1, hidden, cell, -1, -1, -1, -1],
            [y],
            time_major=self.time_major,
            cell_clip=self.cell_clip,
            **{"fused_activation_function": "TANH", **changes.get("options", {})},
        )
        return model.build([x], [y])


lstms = st.builds(
    Lstm,
    batches=st.integers(1, 3),
    steps=st.integers(1, 6),
    depth=st.integers(1, 9),
    units=st.integers(1, 9),
    time_major=st.booleans(),
    cell_power=st.integers(-15, 2),
    cell_clip=st.sampled_from([0.0, 0.5, 10.0]),
    input_scale=st.floats(1e-3, 0.5),
    input_zero_point=st.integers(-128, 127),
    hidden_scale=st.floats(1e-3, 0.1),
    hidden_zero_point=st.integers(-128, 127),
    weight_scale=st.floats(1e-3, 0.1),
    seed=st.integers(0, 2**32 - 1),
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(lstms, min_size=4, max_size=4))
def test_random_lstms(some: list[Lstm]) -> None:
    native.assert_parity([lstm.build() for lstm in some], samples=6)


@pytest.mark.parametrize("power", range(-15, 3))
def test_every_scale_of_the_cell_state(power: int) -> None:
    native.assert_parity([Lstm(cell_power=power, steps=20, weight_scale=0.05).build()], samples=4)


def test_undefined_behaviour() -> None:
    some = [
        Lstm(cell_power=2, weight_scale=0.1, input_scale=0.5, steps=30),
        Lstm(cell_power=-15, hidden_zero_point=-128, batches=2, time_major=True),
        Lstm(units=1, depth=1, steps=1, cell_clip=0.5),
    ]
    native.assert_parity([lstm.build() for lstm in some], samples=5, sanitize=True)


def test_the_state_lives_on_until_a_reset() -> None:
    blob = Lstm(hidden_zero_point=-77).build()
    graph = tflite_model.parse(blob, "lstm")
    (model,) = native.compile_all([graph])
    samples = native.random_samples(graph, 6)
    in_a_row = [outputs[0] for outputs in model.run(samples)]
    alone = [model.run([sample])[0][0] for sample in samples]
    assert any((a != b).any() for a, b in zip(in_a_row[1:], alone[1:], strict=True))
    with Reference(blob) as host:
        (expected,) = host.run([np.stack([sample[0] for sample in samples])])
    np.testing.assert_array_equal(np.stack(alone), expected)


def test_the_tables_ends() -> None:
    table = sigmoid_entries()
    assert (table.dtype, table.size) == (np.uint16, 256)
    assert (table[0], table[24], table[100], table[255]) == (32768, 47911, 64536, 65535)
    assert (np.diff(table.astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"per_channel": True}, "not quantised with one scale"),
        ({"weight_zero_point": 1}, "not quantised with one scale around zero"),
        ({"peephole": True}, "it has peepholes"),
        ({"options": {"fused_activation_function": "RELU"}}, "activation is not TANH"),
        ({"options": {"diagonal_recurrent_tensors": True}}, "recurrent weights are diagonal"),
    ],
)
def test_refusals(changes: dict[str, Any], reason: str) -> None:
    graph = tflite_model.parse(Lstm().build(**changes), "lstm")
    (refusal,) = AotEngine().refusals(graph)
    assert reason in refusal.reason


def test_a_scale_that_is_no_power_of_two_is_refused() -> None:
    graph = tflite_model.parse(Lstm(cell_power=-10.5).build(), "lstm")
    (refusal,) = AotEngine().refusals(graph)
    assert "not a power of two" in refusal.reason
