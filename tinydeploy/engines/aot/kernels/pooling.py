"""Pooling: the mean or the largest of a window, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinydeploy.engines.aot.geometry import Geometry
from tinydeploy.engines.aot.ir import Call, Kernel, Params
from tinydeploy.engines.aot.memory import input_overlap


@dataclass(frozen=True)
class Pool(Params):
    """Windows of `depth` channels, and the range of the activation."""

    geometry: Geometry
    depth: int
    activation_min: int
    activation_max: int


def _overlap(call: Call[Pool]) -> Mapping[str, int]:
    p = call.params
    least = input_overlap.channel_by_channel(input_overlap.windows(p.geometry, p.depth), p.depth)
    return {"input": least * call.sizes[1]}


AVERAGE_POOL_2D = Kernel("average_pool_2d", "pool.h", Pool, ("input", "output"), _overlap)
MAX_POOL_2D = Kernel("max_pool_2d", "pool.h", Pool, ("input", "output"), _overlap)
