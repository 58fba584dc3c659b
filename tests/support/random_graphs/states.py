"""Random layers and ops with a state: LSTM, SVDF, variables."""

from __future__ import annotations

from random_graphs.maker import Maker, NotPossible, Value, symmetric


def lstm(m: Maker, kind: str) -> None:
    x = m.pick(3, wide=True)
    time_major = m.random.random() < 0.3
    batch = x.shape[1] if time_major else x.shape[0]
    units = m.random.randint(1, 7)
    wide = x.dtype == "int16"
    if wide and x.scale and x.scale > 0.9:  # 64-bit sums shift left by 7 at most
        raise NotPossible
    zero_point = 0 if wide else m.random.randint(-20, 20)
    output = m.add((*x.shape[:2], units), x.dtype, m.scale(1 / 32768 if wide else 1 / 128), zero_point)
    inputs = [-1] * 24
    inputs[0] = x.index
    for gate in range(4):
        for first, depth in ((1, x.shape[2]), (5, units)):
            drawn = [[m.random.randint(-127, 127) for _ in range(depth)] for _ in range(units)]
            scale = 10 ** m.random.uniform(-3, -1.5)
            inputs[first + gate] = m.model.tensor((units, depth), scale=scale, data=drawn)
        largest = 1_000_000 if wide else 5000
        bias = [m.random.randint(-largest, largest) for _ in range(units)]
        inputs[12 + gate] = m.model.tensor((units,), "int64" if wide else "int32", scale=1e-4, data=bias)
    inputs[18] = m.model.tensor(
        (batch, units), x.dtype, scale=output.scale, zero_point=output.zero_point, variable=True
    )
    inputs[19] = m.model.tensor((batch, units), "int16", scale=2.0 ** -m.random.randint(9, 13), variable=True)
    options = {"time_major": time_major, "cell_clip": m.random.choice((0.0, 0.0, 10.0, 1.0))}
    m.op(kind, inputs, [output], fused_activation_function="TANH", **options)


def svdf(m: Maker, kind: str) -> None:
    x = m.pick(2)
    (batches, depth), memory, rank, units = x.shape, *(m.random.randint(1, 5) for _ in range(3))
    filters = rank * units
    dtype = m.random.choice(("int8", "int16"))
    zero_point = m.random.randint(-20, 20) if dtype == "int8" else 0
    state_scale = (0.05 if dtype == "int8" else 1e-3) * m.random.uniform(0.5, 2)
    scales = [10 ** m.random.uniform(-3, -1.5), 10 ** m.random.uniform(-4, -2.5)]
    shapes = [(filters, depth), (filters, memory)]
    weights = [
        m.constant(Value(-1, shape, type_, scale))
        for shape, type_, scale in zip(shapes, ("int8", dtype), scales, strict=True)
    ]
    bias = m.model.tensor(
        (units,), "int32", scale=state_scale * scales[1], data=[m.random.randint(-9999, 9999)] * units
    )
    state = m.model.tensor(
        (batches, filters * memory), dtype, scale=state_scale, zero_point=zero_point, variable=True
    )
    largest = 100 if dtype == "int8" else 2e4
    output = m.add((batches, units), "int8", m.scale(state_scale * scales[1] * largest), m.zero_point())
    inputs = [x.index, weights[0].index, weights[1].index, bias, state]
    m.op(kind, inputs, [output], rank=rank, fused_activation_function=m.random.choice(("NONE", "RELU")))


def variable(m: Maker, kind: str) -> None:
    """What a variable holds takes part in what it is assigned; it may be initialised."""
    x = m.pick(wide=True, fits=symmetric)
    name = {"shared_name": f"state {len(m.used)}"}

    def handle() -> int:
        index = m.model.tensor((), "resource")
        m.model.op("VAR_HANDLE", [], [index], **name)
        return index

    if kind == "CALL_ONCE" or m.random.random() < 0.3:
        with m.model.subgraph() as initialiser:
            m.model.op("ASSIGN_VARIABLE", [handle(), m.constant(x).index], [])
        m.model.op("CALL_ONCE", [], [], init_subgraph_index=initialiser)
    before = m.like(x, x.shape)
    one = handle()
    m.op("READ_VARIABLE", [one], [before])
    m.used.add(before.index)
    after = m.like(x, x.shape)
    if m.random.random() < 0.5:
        m.op("MAXIMUM", [x.index, before.index], [after])
    else:
        m.op("ADD", [x.index, before.index], [after])
    m.model.op("ASSIGN_VARIABLE", [one if m.random.random() < 0.5 else handle(), after.index], [])
    if m.random.random() < 0.3:
        m.op("READ_VARIABLE", [one], [m.like(x, x.shape)])
