"""The verdict: what was checked of a run, and whether it held; judge of every tick and of the exit code."""

from __future__ import annotations

from collections.abc import Mapping

from tinydeploy.results import gates, metric_table
from tinydeploy.results.measured import Accuracy, ArenaInfo, Parity
from tinydeploy.results.result import Result

NEVER_CHECKED = None


def checks(result: Result) -> Mapping[str, bool | None]:
    """By figure: True if it was checked and held, False if not; None if nothing was there to check it by."""
    build, accuracy = result.build, result.accuracy
    parity = _parity(result.parity, is_exact(result)) if result.parity else NEVER_CHECKED
    rounded = result.parity is not None and parity is None
    return {
        "flash": build.flash_bytes <= build.flash_budget,
        "ram": build.ram_bytes <= build.ram_budget,
        "arena": _arena(result.arena),
        # The high-water mark of a painted stack cannot pass its end: reaching it is an overrun.
        "stack": result.stack_bytes < result.stack_budget,
        "accuracy": _accuracy(accuracy, rounded) if accuracy else NEVER_CHECKED,
        "parity": parity,
    }


def is_exact(result: Result) -> bool:
    """Whether the outputs have to be the reference's bit for bit.

    A library brings its own kernels, and CMSIS-NN's round some results differently by one.
    """
    return result.library is None


def failures(result: Result) -> tuple[str, ...]:
    """The checks that failed and the limits that were missed, a phrase each; none if the run is good."""
    return (*failed_checks(result).values(), *map(gates.phrase, gates.missed(result.gates or ())))


def failed_checks(result: Result) -> dict[str, str]:
    """By figure, as in `checks`, a phrase for each that failed."""
    failed = {key for key, held in checks(result).items() if held is False}
    build, arena, parity, accuracy = result.build, result.arena, result.parity, result.accuracy
    phrases = {
        "flash": f"flash takes {build.flash_bytes:,} bytes of {build.flash_budget:,}",
        "ram": f"RAM takes {build.ram_bytes:,} bytes of {build.ram_budget:,}",
        "arena": f"the arena of {arena.bytes:,} bytes fails on the target",
        "stack": f"the stack's {result.stack_budget:,} bytes are used up",
    }
    if accuracy is not None:
        words = metric_table.words(accuracy.metric)
        phrases["accuracy"] = f"{words} is {accuracy.value:.4g}, and the reference's {accuracy.reference:.4g}"
    if parity is not None:
        what = "differ" if is_exact(result) else "differ by more than one"
        count = parity.worse + (parity.off_by_one if is_exact(result) else 0)
        phrases["parity"] = f"{count:,} of {parity.outputs:,} outputs {what} from {parity.reference}'s"
    return {key: phrase for key, phrase in phrases.items() if key in failed}


def _arena(arena: ArenaInfo) -> bool | None:
    if arena.fails_at is not None and arena.fails_at >= arena.bytes:
        return False
    # A plan that holds on the target is enough; a search also has to show that less would fail.
    passes = arena.passes_at == arena.bytes
    return True if passes and (arena.method == "planned" or arena.fails_at is not None) else None


def _parity(parity: Parity, exact: bool) -> bool | None:
    if parity.worse or (exact and parity.off_by_one):
        return False
    return True if parity.identical == parity.outputs else None  # off by one, as a library's kernels may be


def _accuracy(accuracy: Accuracy, rounded: bool) -> bool | None:
    """Not below the reference's, unless outputs were `rounded` differently; None if it says little."""
    if accuracy.reference is None:
        return None
    found = metric_table.metric(accuracy.metric)
    higher = found is None or found.higher_is_better
    lost = accuracy.reference - accuracy.value if higher else accuracy.value - accuracy.reference
    if lost > 0:
        return None if rounded else False
    return None if accuracy.doubts else True
