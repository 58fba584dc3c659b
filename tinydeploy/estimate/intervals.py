"""Which of what ran is an inference, and which an op: the firmware's measure.cpp, seen from outside.

Each interval lies between two calls of counter::read(). What reading costs has intervals of its own, when the
firmware starts; taken off instruction by instruction, just the engine's own are left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinydeploy.errors import TargetError
from tinydeploy.firmware import code
from tinydeploy.targets.executed import Executed, total

# The intervals of engines that do nothing, in measure::open(): without ops; the first of two ops; the second.
_NO_OP, _FIRST_OP, _LATER_OP = 1, 15, 23
_AT_START = 26  # intervals before a host says anything, from reset on
_WRAP = (
    "tinydeploy_count_wrap"  # the interrupt that counts the counter's periods, which measure.cpp takes off
)
_OP_FUNCTION = re.compile(r"_ZN\d+tinydeploy_\w+?12_GLOBAL__N_1L?\d+op(\d+)_")  # mangled: lengths come first


def inference(intervals: Sequence[Executed], elf: Path) -> Executed:
    """What the inference executed that was invoked last, without profiling.

    Raises TargetError if the intervals do not show one.
    """
    if len(intervals) < _AT_START + 2:
        raise TargetError("the emulator has not seen an inference")
    return _own(intervals[-1], intervals[_NO_OP], elf)


def ops(
    intervals: Sequence[Executed], since: int, elf: Path, indices: Sequence[int]
) -> Mapping[int, Executed]:
    """What each of the ops `indices` executed in the inference that was invoked last, with profiling.

    `since` is how many intervals there were before it. An op that is done in stripes is there as a whole.
    Raises TargetError if the intervals do not show them.
    """
    begin = {
        span[0]: int(named[1])
        for name, span in code.functions(elf).items()
        if (named := _OP_FUNCTION.match(name)) and int(named[1]) in indices
    }
    overheads = intervals[_FIRST_OP], intervals[_LATER_OP]
    parts: dict[int, list[Executed]] = {index: [] for index in indices}
    # The host's doing, then for each op itself and the hook behind it, then what is left of the inference.
    for turn, interval in enumerate(intervals[since + 1 : -1 : 2]):
        own = _own(interval, overheads[min(turn, 1)], elf)
        ran = [begin[address] for address in map(int, own.rows["address"]) if address in begin]
        index = ran[0] if len(ran) == 1 else indices[turn] if turn < len(indices) else None
        if index is None:
            raise TargetError("the emulator saw more ops than the model has")
        parts[index].append(own)
    return {index: total(own) for index, own in parts.items()}


def _own(interval: Executed, overhead: Executed, elf: Path) -> Executed:
    own = interval.less(overhead)
    if (wrap := code.functions(elf).get(_WRAP)) is not None:
        own = own.without(*wrap)
    return own
