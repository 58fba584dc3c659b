"""What lives across inferences: resource variables and SVDF's state, as TFLite Micro keeps them."""

from __future__ import annotations

from collections.abc import Callable

import native
import numpy as np
import pytest
import small_nets
from model_builder import ModelBuilder

from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.errors import ModelError
from tinydeploy.evaluate import inspection
from tinydeploy.host.reference import Reference
from tinydeploy.model import samples
from tinydeploy.model.graph import DType, Graph, op_macs, op_shape
from tinydeploy.model.readers import tflite_model

STATEFUL = {name: small_nets.NETS[name] for name in ("svdf", "streaming")}


def graph_of(model: bytes) -> Graph:
    return tflite_model.parse(model, "model.tflite")


@pytest.mark.parametrize("net", small_nets.NETS.values())
def test_inferences_in_a_row(net: Callable[[], bytes]) -> None:
    native.assert_parity([net()], samples=12, sanitize=True)


def test_a_variable_without_a_first_value_starts_at_its_zero_point() -> None:
    native.assert_parity([small_nets.streaming(initial=False)], samples=6)
    graph = graph_of(small_nets.streaming(initial=False))
    (variable,) = (tensor for tensor in graph.tensors if tensor.is_variable)
    assert variable.initial is not None and set(variable.initial.ravel().tolist()) == {-7}


def test_a_variable_is_a_tensor_of_the_graph() -> None:
    graph = graph_of(small_nets.streaming())
    (variable,) = (tensor for tensor in graph.tensors if tensor.is_variable)
    assert (variable.name, variable.shape, variable.dtype) == ("window", (1, 3, 6), DType.INT8)
    assert variable.initial is not None and variable.initial.dtype == np.int8
    assert variable.quantization is not None and variable.quantization.zero_point == -7
    kinds = {op.kind: op for op in graph.ops}
    assert kinds["READ_VARIABLE"].inputs == kinds["VAR_HANDLE"].outputs == (variable.index,)
    assert [op_shape(graph, kinds[kind]) for kind in ("CALL_ONCE", "ASSIGN_VARIABLE")] == [(), (1, 3, 6)]


@pytest.mark.parametrize("net", STATEFUL.values())
def test_a_state_has_its_bytes_all_the_time(net: Callable[[], bytes]) -> None:
    graph = graph_of(net())
    plan = AotEngine().generate(graph, native.PORTABLE).arena
    assert plan is not None
    states = [tensor for tensor in graph.tensors if tensor.is_variable]
    places = {place.tensors: place for place in plan.placements}
    for state in states:
        kept = places[(state.index,)]
        assert (kept.first, kept.last) == (-1, len(graph.ops))
        for other in plan.placements:
            apart = other.offset >= kept.offset + state.bytes or other.offset + other.bytes <= kept.offset
            assert other is kept or apart


@pytest.mark.parametrize("net", STATEFUL.values())
def test_the_reference_starts_every_sample_from_the_initial_state(net: Callable[[], bytes]) -> None:
    graph = graph_of(net())
    inputs = samples.random(graph, 5, seed=1).inputs
    (compiled,) = native.compile_all([graph])
    fresh = [compiled.run([[sample]])[0][0] for sample in inputs[0]]
    with Reference(graph.content) as host:
        for _ in range(2):  # what one call leaves behind is nothing to the next
            (expected,) = host.run(inputs)
            np.testing.assert_array_equal(np.stack(fresh), expected)
        assert host.arena_passes(1 << 16, inputs)
    in_a_row = compiled.run([[sample] for sample in inputs[0]])
    assert any((a != b[0]).any() for a, b in zip(fresh, in_a_row, strict=True)), "the state has no effect"


def test_inspection_knows_ops_without_outputs() -> None:
    found = inspection.inspect_graph(graph_of(small_nets.streaming()), native.DSP)
    assert [row.op for row in found.ops][:3] == ["CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE"]
    graph = graph_of(small_nets.svdf())
    assert op_macs(graph, graph.ops[0]) == 16 * (20 + 6)


def streaming(change: Callable[[ModelBuilder, int, int], None]) -> bytes:
    """A model with a variable; `change` gets the builder, the handle and the input, 4 values of int8."""
    model = ModelBuilder()
    x, y = (model.tensor((4,), scale=0.1) for _ in range(2))
    handle = model.tensor((), "resource")
    model.op("VAR_HANDLE", [], [handle], shared_name="v")
    change(model, handle, x)
    model.op("RELU", [x], [y])
    return model.build([x], [y])


def reads_only(model: ModelBuilder, handle: int, x: int) -> None:
    model.op("READ_VARIABLE", [handle], [model.tensor((4,), scale=0.1)])


def reads_another_size(model: ModelBuilder, handle: int, x: int) -> None:
    model.op("ASSIGN_VARIABLE", [handle, x], [])
    model.op("READ_VARIABLE", [handle], [model.tensor((3,), scale=0.1)])


def reads_no_handle(model: ModelBuilder, handle: int, x: int) -> None:
    model.op("READ_VARIABLE", [x], [model.tensor((4,), scale=0.1)])


def assigns_nothing(model: ModelBuilder, handle: int, x: int) -> None:
    model.op("ASSIGN_VARIABLE", [handle], [])


def calls_late(model: ModelBuilder, handle: int, x: int) -> None:
    model.op("ASSIGN_VARIABLE", [handle, x], [])
    initialises(model, handle, x)


def initialises(model: ModelBuilder, handle: int, x: int, kind: str = "", size: int = 4) -> None:
    with model.subgraph() as index:
        inner = model.tensor((), "resource")
        model.op("VAR_HANDLE", [], [inner], shared_name="v")
        value = model.tensor((size,), scale=0.1, data=None if kind == "computed" else np.arange(size))
        if kind == "ops":
            value, source = model.tensor((size,), scale=0.1), value
            model.op("RELU", [source], [value])
        model.op("ASSIGN_VARIABLE", [inner, value], [])
    model.op("CALL_ONCE", [], [], init_subgraph_index=index)


def initialises_with(kind: str = "", size: int = 4) -> Callable[[ModelBuilder, int, int], None]:
    def change(model: ModelBuilder, handle: int, x: int) -> None:
        initialises(model, handle, x, kind, size)
        model.op("ASSIGN_VARIABLE", [handle, x], [])

    return change


def calls_nothing(model: ModelBuilder, handle: int, x: int) -> None:
    model.op("CALL_ONCE", [], [], init_subgraph_index=7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (reads_only, "nothing assigns the variable 'v'"),
        (reads_another_size, r"op 2 \(READ_VARIABLE\) takes the variable 'v' for another type or size"),
        (reads_no_handle, r"op 1 \(READ_VARIABLE\) names a variable by another tensor than a VAR_HANDLE's"),
        (assigns_nothing, r"op 1 \(ASSIGN_VARIABLE\) has 1 inputs where 2 are needed"),
        (calls_late, r"op 2 \(CALL_ONCE\) initialises the variable 'v' after its use"),
        (calls_nothing, r"op 1 \(CALL_ONCE\) calls the subgraph 7"),
        (initialises_with("computed"), "subgraph 1 initialises the variable 'v' with a computed value"),
        (initialises_with("ops"), "subgraph 1 initialises variables by RELU, not with constants"),
        (initialises_with(size=3), "the variable 'v' is initialised with another type or size"),
    ],
)
def test_refusals(change: Callable[[ModelBuilder, int, int], None], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        graph_of(streaming(change))
    assert caught.value.hint


def test_the_change_itself_is_not_refused() -> None:
    assert graph_of(streaming(initialises_with())).ops
