"""The catalogue's rows of reductions, state, shapes, control, and TFLite Micro's custom ops."""

from __future__ import annotations

from functools import partial

from tinydeploy.model.ops.op_kind import ANY, Family, OpKind

_AT_READING = "of shapes and constants alone: computed when the model is read"
_SUBGRAPHS = "a loop or a branch runs other subgraphs, and a firmware has one"
_SIGNAL = "an op of the front end that makes features of sound, in integers of its own"

_reduction = partial(OpKind, Family.ELEMENTWISE, (ANY, ANY))
_reducer = partial(_reduction, options="ReducerOptions")
_signal = partial(OpKind, Family.ELEMENTWISE, without_aot=_SIGNAL)
_moving_signal = partial(OpKind, Family.MOVEMENT, without_aot=_SIGNAL)

REDUCTIONS = {
    "ARG_MAX": _reduction(resolver="AddArgMax"),
    "ARG_MIN": _reduction(resolver="AddArgMin"),
    "CUMSUM": OpKind(Family.ELEMENTWISE, (ANY,), options="CumsumOptions", resolver="AddCumSum"),
    "MEAN": _reducer(resolver="AddMean"),
    "REDUCE_ALL": _reducer(resolver="AddReduceAll"),
    "REDUCE_ANY": _reducer(without_aot="TFLite Micro has no kernel"),
    "REDUCE_MAX": _reducer(resolver="AddReduceMax"),
    "REDUCE_MIN": _reducer(resolver="AddReduceMin"),
    "REDUCE_PROD": _reducer(without_aot=_AT_READING),
    "SUM": _reducer(resolver="AddSum"),
}

# TFLite Micro has kernels for state, but a program of ours gives it no room for resource variables.
STATE = {
    "ASSIGN_VARIABLE": OpKind(Family.MOVEMENT, (ANY, ANY), ()),
    "CALL_ONCE": OpKind(Family.MOVEMENT, (), (), options="CallOnceOptions"),
    "READ_VARIABLE": OpKind(Family.MOVEMENT, (ANY,)),
    "VAR_HANDLE": OpKind(Family.MOVEMENT, options="VarHandleOptions", options_needed=True),
}

SHAPES = {
    "BROADCAST_ARGS": OpKind(
        Family.MOVEMENT, (ANY, ANY), resolver="AddBroadcastArgs", without_aot=_AT_READING
    ),
    "RANGE": OpKind(Family.MOVEMENT, (ANY, ANY, ANY), without_aot=_AT_READING),
    "RANK": OpKind(Family.MOVEMENT, (ANY,), of_shape=True, without_aot=_AT_READING),
    "SHAPE": OpKind(
        Family.MOVEMENT,
        (ANY,),
        options="ShapeOptions",
        of_shape=True,
        resolver="AddShape",
        without_aot=_AT_READING,
    ),
}

CONTROL = {
    "IF": OpKind(Family.MOVEMENT, without_aot=_SUBGRAPHS),
    "WHILE": OpKind(Family.MOVEMENT, without_aot=_SUBGRAPHS),
}

CUSTOM = {
    "CUSTOM:CIRCULAR_BUFFER": _moving_signal(resolver="AddCircularBuffer"),
    "CUSTOM:SignalDelay": _moving_signal(resolver="AddDelay"),
    "CUSTOM:SignalEnergy": _signal(resolver="AddEnergy"),
    "CUSTOM:SignalFftAutoScale": _signal(resolver="AddFftAutoScale"),
    "CUSTOM:SignalFilterBank": _signal(resolver="AddFilterBank"),
    "CUSTOM:SignalFilterBankLog": _signal(resolver="AddFilterBankLog"),
    "CUSTOM:SignalFilterBankSpectralSubtraction": _signal(resolver="AddFilterBankSpectralSubtraction"),
    "CUSTOM:SignalFilterBankSquareRoot": _signal(resolver="AddFilterBankSquareRoot"),
    "CUSTOM:SignalFramer": _moving_signal(resolver="AddFramer"),
    "CUSTOM:SignalIrfft": _signal(resolver="AddIrfft"),
    "CUSTOM:SignalOverlapAdd": _signal(resolver="AddOverlapAdd"),
    "CUSTOM:SignalPCAN": _signal(resolver="AddPCAN"),
    "CUSTOM:SignalRfft": _signal(resolver="AddRfft"),
    "CUSTOM:SignalStacker": _moving_signal(resolver="AddStacker"),
    "CUSTOM:SignalWindow": _signal(resolver="AddWindow"),
    "CUSTOM:TFLite_Detection_PostProcess": OpKind(
        Family.ELEMENTWISE, resolver="AddDetectionPostprocess", without_aot="it works in float"
    ),
}
