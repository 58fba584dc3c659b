"""The headline figures of a result, and how each is judged.

One home for what the console, the HTML report and any later side-by-side comparison say about a run:
a comparison is the facts of several results, joined by key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinydeploy.report import text
from tinydeploy.results import gates, metric_table
from tinydeploy.results.estimated import Estimate
from tinydeploy.results.measured import Accuracy, ArenaInfo, Gate, Parity
from tinydeploy.results.result import Result
from tinydeploy.results.setting import Layer, LibraryInfo, TargetInfo
from tinydeploy.results.verdict import checks

NOT_TIME = "Instructions are counted by the emulator; they are not time."
ESTIMATED = "Instructions are counted by the emulator; the time is estimated from them."


@dataclass(frozen=True)
class Fact:
    """One headline figure. `good` is None if there is nothing to judge it by.

    `share` is the used part of a budget (0..1, above 1 if it is exceeded) or None.
    """

    key: str
    label: str
    value: str
    detail: str
    good: bool | None = None
    share: float | None = None


def metric_value(metric: str, value: float) -> str:
    """A quality figure in its metric's own notation: shares in percent, others with four digits."""
    found = metric_table.metric(metric)
    return text.percent(value) if found and found.share else f"{value:.4g}"


def metric_name(metric: str) -> str:
    """The metric's name for people."""
    return metric_table.words(metric)


def arena_proof(arena: ArenaInfo) -> str:
    """How the arena's size was got and what the target said about it."""
    if arena.method == "searched":
        proof = f"found in {arena.probes:,} probes"
        if arena.passes_at is not None:
            proof += f"; passes at {arena.passes_at:,} B"
        if arena.fails_at is not None:
            proof += f", fails at {arena.fails_at:,} B"
        return proof
    if arena.fails_at is not None and arena.fails_at >= arena.bytes:
        return "planned ahead of time; fails on the target"
    if arena.passes_at is None:
        return "planned ahead of time; not checked on the target"
    return "planned ahead of time; checked on the target"


def target_name(target: TargetInfo) -> str:
    """What ran the firmware, by name and version: "QEMU emulator version 7.2.22", "renode 1.15"."""
    named = target.version.lower().startswith(target.kind.lower())
    return target.version if named else f"{target.kind} {target.version}".rstrip()


def kernels(library: LibraryInfo) -> str:
    """Whose kernels are linked: "CMSIS-NN: CONV_2D, SOFTMAX; reference: RESHAPE"."""
    by_maker: dict[str, list[str]] = {}
    for op, maker in library.kernels.items():
        by_maker.setdefault(maker, []).append(op)
    return "; ".join(f"{maker}: {', '.join(ops)}" for maker, ops in sorted(by_maker.items()))


def turns(layer: Layer) -> str:
    """In how many turns an op is done: "2 patches of 16 stripes, 1,024 outputs twice"."""
    stripes = f"{layer.stripes} stripes"
    done = f"{layer.patches} patches of {stripes}" if layer.patches > 1 else stripes
    return done + (f", {layer.repeated_outputs:,} outputs twice" if layer.repeated_outputs else "")


def _budget(key: str, label: str, used: int, budget: int, good: bool | None, detail: str = "") -> Fact:
    share = text.ratio(used, budget)
    return Fact(
        key, label, text.kib(used), f"{detail}{text.percent(share)} of {text.kib(budget)}", good, share
    )


def _accuracy(accuracy: Accuracy, good: bool | None) -> Fact:
    samples = f"{accuracy.samples:,} samples"
    if accuracy.places > 1:
        samples += f" × {accuracy.places:,} places"
    value, label = metric_value(accuracy.metric, accuracy.value), metric_name(accuracy.metric)
    if accuracy.threshold is not None and accuracy.metric != "auc":
        samples += f", threshold {accuracy.threshold:g}"
    if accuracy.reference is None:
        return Fact("accuracy", label, value, f"{samples}; no reference")
    reference = metric_value(accuracy.metric, accuracy.reference)
    return Fact("accuracy", label, value, f"reference {reference}, {samples}", good)


def judged(accuracy: Accuracy) -> str:
    """What was judged, and how the labels were read: "output 0 "y" [1, 10], a SOFTMAX of 10 classes"."""
    return "; ".join(filter(None, (accuracy.chosen, accuracy.labels)))


def others(accuracy: Accuracy) -> str:
    """The metrics beside the main one, in a line."""
    return ", ".join(
        f"{metric_name(name)} {metric_value(name, value)}" for name, value in accuracy.also.items()
    )


def facts(result: Result) -> Iterator[Fact]:
    """The headline figures, in the order in which a person asks for them."""
    cost, good = result.counts, checks(result)
    if result.time_us is not None:
        times = result.time_us
        yield Fact(
            "time",
            "Time per inference",
            text.micros(times.median),
            f"p95 {text.micros(times.p95)}; at {text.clock(result.board.clock_hz)}",
        )
    if (drawn := result.measured_energy) is not None:
        between = f"{text.microjoules(drawn.low)} to {text.microjoules(drawn.high)}; {drawn.method}"
        yield Fact("measured_energy", "Energy per inference", text.microjoules(drawn.uj), between)
    yield from _estimated(result)
    yield Fact(
        result.unit,
        f"{result.unit.capitalize()} per inference",
        text.millions(cost.median),
        f"p95 {text.millions(cost.p95)}; {text.per_mac(cost.median, result.model.macs)} per MAC; "
        f"{cost.runs:,} run{'s' if cost.runs != 1 else ''}",
    )
    yield _budget("flash", "Flash", result.build.flash_bytes, result.build.flash_budget, good["flash"])
    yield _budget("ram", "RAM", result.build.ram_bytes, result.build.ram_budget, good["ram"])
    arena = result.arena
    yield Fact("arena", "Tensor arena", text.kib(arena.bytes), arena_proof(arena), good["arena"])
    used, budget = result.stack_bytes, result.stack_budget
    yield _budget("stack", "Stack", used, budget, good["stack"], "high-water mark, ")
    if result.accuracy:
        yield _accuracy(result.accuracy, good["accuracy"])
    elif result.unjudged:
        yield Fact("accuracy", "Accuracy", "none", "the labels cannot be used, see the warnings")
    if result.parity:
        yield _agreement("parity", "Parity", result.parity, good["parity"])
    if result.second_opinion:
        second = result.second_opinion
        yield _agreement("second_opinion", "Reference", second, False if second.worse else None)


@dataclass(frozen=True)
class BudgetRow:
    """A limit for people: what it is of, the figure, the limit, and how near the one is to the other."""

    label: str
    value: str
    limit: str
    detail: str
    good: bool | None
    share: float | None


def budget_row(gate: Gate) -> BudgetRow:
    """A gate for people: sizes in KiB, shares in percent."""

    def shown(value: float) -> str:
        return text.kib(round(value)) if gate.unit == "bytes" else gates.shown(value, gate.unit)

    if gate.figure is None:
        return BudgetRow(gate.name, "–", shown(gate.limit), gate.reason, gate.held, None)
    share = gate.share
    detail = "" if share is None else f"{text.percent(share)} of it" if gate.is_most else ""
    if not gate.is_most:
        detail = f"{shown(abs(gate.figure - gate.limit))} {'to spare' if gate.held else 'short'}"
    if gate.against != "budget":
        detail = "; ".join(filter(None, (detail, f"by {gate.against}")))
    return BudgetRow(gate.name, shown(gate.figure), shown(gate.limit), detail, gate.held, share)


def boards(result: Result) -> Iterator[tuple[str, str, str, str]]:
    """Other boards by whether the model would fit: a mark, "good", "bad" or neither, in words, and which."""
    kinds = (
        ("fits", "✓", "good", "Fits"),
        ("tight", "~", "", "A build decides"),
        ("no", "✗", "bad", "Does not fit"),
    )
    for verdict, mark, kind, words in kinds:
        named = [one.board for one in result.other_boards or () if one.verdict == verdict]
        if named:
            yield mark, kind, words, ", ".join(named)


def _estimated(result: Result) -> Iterator[Fact]:
    """Time and energy that no board has measured, with their intervals."""
    if (time := result.estimate) is not None:
        yield Fact(
            "estimate",
            "Time, estimated",
            text.micros(1e3 * time.ms),
            f"{text.micros(1e3 * time.low)} to {text.micros(1e3 * time.high)} at "
            f"{text.clock(result.board.clock_hz)}; {time.model}{_missed(time)}",
        )
    if (energy := result.energy) is not None:
        yield Fact(
            "energy",
            "Energy, estimated",
            text.microjoules(energy.uj),
            f"{text.microjoules(energy.low)} to {text.microjoules(energy.high)}",
        )
        if energy.every_s is not None and energy.average_uw is not None:
            lasts = f"{energy.battery_days:,.4g} days" if energy.battery_days is not None else "–"
            battery = f" from {energy.battery_mah:g} mAh" if energy.battery_mah is not None else ""
            yield Fact(
                "battery",
                "Battery life, estimated",
                lasts,
                f"one inference every {energy.every_s:g} s{battery}: {energy.average_uw:,.4g} µW on average",
            )


def _missed(time: Estimate) -> str:
    """By how much the board missed the estimate of its time, and whether by more than was to be expected."""
    excess = time.measured_excess
    if excess is None:
        return ""
    within = time.low <= time.ms * (1 + excess) <= time.high
    word = "longer" if excess > 0 else "shorter"
    return f"; the board took {abs(excess):.1%} {word}, {'within' if within else 'outside'} the interval"


def not_time(results: Sequence[Result]) -> str:
    """What is to be said of an emulator's counts; "" where a board counted."""
    if results[0].unit != "instructions":
        return ""
    return ESTIMATED if any(result.estimate for result in results) else NOT_TIME


def _agreement(key: str, of: str, found: Parity, good: bool | None) -> Fact:
    """How far outputs agree with those of another program."""
    return Fact(
        key,
        f"{of} with {_program(found.reference)}",
        text.percent(text.ratio(found.identical, found.outputs)),
        f"identical; {found.off_by_one:,} off by one, {found.worse:,} worse, of {found.outputs:,} outputs",
        good,
    )


def _program(reference: str) -> str:
    """The reference's name; its version stands elsewhere."""
    return text.printable(reference.partition(" ")[0])


def verdict(result: Result) -> str:
    """The run in two or three sentences: does it fit, does it compute the right thing, how well."""
    by_key = {fact.key: fact for fact in facts(result)}
    over = [by_key[key].label for key in ("flash", "ram", "stack") if by_key[key].good is False]
    sentences = [f"Exceeds its budget: {', '.join(over)}." if over else "Fits the board."]
    if by_key["arena"].good is False:
        sentences.append("The tensor arena fails on the target.")
    if result.parity:
        name = text.printable(result.parity.reference)
        if result.parity.identical == result.parity.outputs:
            sentences.append(f"Every output is identical to {name}’s.")
        else:
            sentences.append(f"{by_key['parity'].value} of the outputs are identical to {name}’s.")
    if result.accuracy:
        accuracy, found = by_key["accuracy"], result.accuracy
        if found.reference is None:
            sentences.append(f"{accuracy.label} {accuracy.value}.")
        elif found.value == found.reference:
            sentences.append(f"{accuracy.label} {accuracy.value}, the same as the reference.")
        else:
            reference = metric_value(found.metric, found.reference)
            sentences.append(f"{accuracy.label} {accuracy.value}, where the reference has {reference}.")
        if found.doubts:
            sentences.append("That says little: see the warnings.")
    elif result.unjudged:
        sentences.append("The labels could not be used.")
    return " ".join(sentences)


@dataclass(frozen=True)
class Row:
    """One headline figure of several runs; None where a run has no such figure."""

    key: str
    label: str
    facts: tuple[Fact | None, ...]


def side_by_side(results: Sequence[Result]) -> tuple[Row, ...]:
    """The headline figures of several runs, joined by key, in the order in which they come."""
    columns = [{fact.key: fact for fact in facts(result)} for result in results]
    labels = {key: fact.label for column in columns for key, fact in column.items()}
    return tuple(
        Row(key, label, tuple(column.get(key) for column in columns)) for key, label in labels.items()
    )


def versus(results: Sequence[Result]) -> tuple[str, ...]:
    """How the first run's count compares with each other run's, a sentence each."""
    first = results[0]
    shares = [text.ratio(first.counts.median, other.counts.median) for other in results[1:]]
    return tuple(
        f"{first.engine} takes {text.percent(share)} of {other.engine}\u2019s {first.unit}."
        for share, other in zip(shares, results[1:], strict=True)
    )
