"""The catalogue's rows of ops that only move elements."""

from __future__ import annotations

from functools import partial

from tinydeploy.model.dtype import DType
from tinydeploy.model.ops.op_kind import ANY, JOINED, Family, OpKind

_ALL = tuple(DType)
_WIDE = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
_BYTES = (DType.INT8,)
_REAL = (DType.INT8, DType.INT16, DType.FLOAT32)

_moving = partial(OpKind, Family.MOVEMENT)  # the number of inputs follows

MOVEMENT = {
    # The same bytes
    "EXPAND_DIMS": _moving((ANY,), moves=0, moved_types=_REAL, reshapes=True, resolver="AddExpandDims"),
    "RESHAPE": _moving(
        (ANY,), options="ReshapeOptions", moves=0, moved_types=_ALL, reshapes=True, resolver="AddReshape"
    ),
    "SQUEEZE": _moving(
        (ANY,), options="SqueezeOptions", moves=0, moved_types=_ALL, reshapes=True, resolver="AddSqueeze"
    ),
    # Together and apart
    "CONCATENATION": _moving(
        (ANY,), options="ConcatenationOptions", moves=JOINED, moved_types=(*_WIDE, DType.INT64, DType.BOOL),
        resolver="AddConcatenation",
    ),
    "PACK": _moving(
        (ANY,), options="PackOptions", moves=JOINED, moved_types=(*_WIDE, DType.INT64), resolver="AddPack"
    ),
    "SPLIT": _moving((ANY, ANY), options="SplitOptions", moves=1, moved_types=_WIDE, resolver="AddSplit"),
    "SPLIT_V": _moving((ANY, ANY, ANY), moves=0, moved_types=_WIDE, resolver="AddSplitV"),
    "UNPACK": _moving((ANY,), options="UnpackOptions", moves=0, moved_types=_WIDE, resolver="AddUnpack"),
    # Some of the elements
    "EMBEDDING_LOOKUP": _moving((ANY, ANY), picks=(1, 0), moved_types=_BYTES, resolver="AddEmbeddingLookup"),
    "GATHER": _moving(
        (ANY, ANY), options="GatherOptions", moves=0, picks=(0, 1), moved_types=_BYTES, resolver="AddGather"
    ),
    "GATHER_ND": _moving((ANY, ANY), picks=(0, 1), resolver="AddGatherNd"),
    "SLICE": _moving((ANY, ANY, ANY), moves=0, moved_types=(*_WIDE, DType.BOOL), resolver="AddSlice"),
    "STRIDED_SLICE": _moving(
        (ANY, ANY, ANY, ANY), options="StridedSliceOptions", moves=0, moved_types=(*_WIDE, DType.BOOL),
        resolver="AddStridedSlice",
    ),
    # Another order
    "BATCH_TO_SPACE_ND": _moving((ANY, ANY, ANY), moves=0, moved_types=_BYTES, resolver="AddBatchToSpaceNd"),
    "DEPTH_TO_SPACE": _moving(
        (ANY,), options="DepthToSpaceOptions", moves=0, moved_types=_BYTES, resolver="AddDepthToSpace"
    ),
    "REVERSE_V2": _moving((ANY, ANY), moves=0, moved_types=_ALL, resolver="AddReverseV2"),
    "SPACE_TO_DEPTH": _moving(
        (ANY,), options="SpaceToDepthOptions", moves=0, moved_types=_BYTES, resolver="AddSpaceToDepth"
    ),
    "TRANSPOSE": _moving(
        (ANY, ANY), moves=0, moved_types=_REAL, resolver="AddTranspose", cmsis_nn="arm_transpose_s"
    ),
    # More of them: what SPACE_TO_BATCH_ND pads with is a number of its output's quantisation
    "BROADCAST_TO": _moving((ANY, ANY), moves=0, moved_types=_ALL, resolver="AddBroadcastTo"),
    "DYNAMIC_UPDATE_SLICE": _moving(
        (ANY, ANY, ANY), resolver="AddDynamicUpdateSlice", without_aot="no lowering yet"
    ),
    "FILL": _moving((ANY, ANY), resolver="AddFill"),
    "MIRROR_PAD": _moving(
        (ANY, ANY), options="MirrorPadOptions", options_needed=True, moves=0, moved_types=_BYTES,
        resolver="AddMirrorPad",
    ),
    "PAD": _moving((ANY, ANY), moves=0, moved_types=_WIDE, resolver="AddPad", cmsis_nn="arm_pad_"),
    "PADV2": _moving((ANY, ANY), moves=0, moved_types=_WIDE, resolver="AddPadV2"),
    "SPACE_TO_BATCH_ND": _moving((ANY, ANY, ANY), moved_types=_BYTES, resolver="AddSpaceToBatchNd"),
    "TILE": _moving((ANY, ANY), without_aot="becomes BROADCAST_TO or CONCATENATION when the model is read"),
}  # fmt: skip
