"""The result: frozen dataclasses whose JSON is result.json, checked by result.schema.json.

Sizes are bytes, counts are raw, durations are seconds. An emulator counts instructions, a board cycles and
microseconds; a figure that was not measured is None and its key is left out of the JSON.
`stored` reads such a file again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tinydeploy.errors import ToolError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

from tinydeploy.results.closer_look import CloserLook
from tinydeploy.results.estimated import EnergyEstimate, Estimate
from tinydeploy.results.measured import (
    Accuracy,
    ArenaInfo,
    Count,
    Gate,
    MeasuredEnergy,
    OpCost,
    Parity,
    Spread,
    Unit,
    spread_of,
)
from tinydeploy.results.profiled import Profile
from tinydeploy.results.setting import (
    BoardFit,
    BoardInfo,
    BuildInfo,
    LibraryInfo,
    ModelInfo,
    Provenance,
    Rule,
    TargetInfo,
)
from tinydeploy.words import GOALS

Schema = Literal["tinydeploy.result/2"]
SCHEMA: Schema = "tinydeploy.result/2"
NOT_IN_JSON = {"json": False}


def _in_units(some: tuple[Unit, ...], none: tuple[Unit, ...]) -> dict[str, Any]:
    """The rule that a result and its ops are counted in each of `some` units, and in none of the others."""

    def has(unit: Unit) -> dict[str, Any]:
        return {"contains": {"properties": {"unit": {"const": unit}}}}

    counted = {"allOf": [has(unit) for unit in some], "not": {"anyOf": [has(unit) for unit in none]}}
    per_op = {"items": {"properties": {"counted": counted}}}
    return {"properties": {"counted": counted, "per_op": per_op}}


@dataclass(frozen=True, repr=False)
class Result:
    """One run of one model on one board with one engine.

    `counted` are the instructions of an inference, or its cycles and the microseconds that they take at the
    board's clock. `optimize` is what the engine strove for, if it knows goals. `unjudged` says why labelled
    samples have no accuracy. `predictions` are not in the JSON.
    """

    model: ModelInfo
    board: BoardInfo
    engine: str
    target: TargetInfo
    build: BuildInfo
    arena: ArenaInfo
    stack_bytes: int
    stack_budget: int
    counted: tuple[Count, ...]
    per_op: tuple[OpCost, ...]
    accuracy: Accuracy | None
    parity: Parity | None
    warnings: tuple[str, ...]
    provenance: Provenance
    schema: Schema = SCHEMA
    library: LibraryInfo | None = None  # for an engine that stands on one
    optimize: Annotated[str, Rule({"enum": [*GOALS]})] | None = None
    unjudged: str | None = None
    estimate: Estimate | None = None  # of the time on the board, where an emulator ran it
    energy: EnergyEstimate | None = None
    measured_energy: MeasuredEnergy | None = None  # by a meter on the board
    executed: Mapping[str, int] | None = (
        None  # instructions by class, and memory traffic, see estimate.counts
    )
    profile: Profile | None = None
    second_opinion: Parity | None = None  # the host reference's agreement with LiteRT
    gates: tuple[Gate, ...] | None = None  # limits that it was held against
    closer: CloserLook | None = None
    other_boards: tuple[BoardFit, ...] | None = None  # that fit would tell of
    # What the device answered: per model output an array [samples, *shape], in the model's own type.
    predictions: tuple[npt.NDArray[Any], ...] = field(
        default=(), repr=False, compare=False, metadata=NOT_IN_JSON
    )

    RULE: ClassVar[Mapping[str, Any]] = {
        "$comment": "An emulator counts instructions and knows no time; a board counts cycles of its clock.",
        "oneOf": [
            _in_units(("instructions",), ("cycles", "microseconds")),
            _in_units(("cycles", "microseconds"), ("instructions",)),
        ],
    }

    @property
    def instructions(self) -> Spread | None:
        """The instructions of an inference, if an emulator counted them."""
        return spread_of(self.counted, "instructions")

    @property
    def cycles(self) -> Spread | None:
        """The cycles of an inference, if a board counted them."""
        return spread_of(self.counted, "cycles")

    @property
    def time_us(self) -> Spread | None:
        """The time of an inference in microseconds, if a board measured it."""
        return spread_of(self.counted, "microseconds")

    @property
    def unit(self) -> Literal["instructions", "cycles"]:
        """What was counted."""
        return "instructions" if self.cycles is None else "cycles"

    @property
    def counts(self) -> Spread:
        """The instructions or the cycles of an inference, whichever were counted."""
        found = self.instructions if self.cycles is None else self.cycles
        assert found is not None, "a result has one of the two"
        return found

    def __repr__(self) -> str:
        """In one line what was run, and the figures that are asked for first."""
        known = [f"accuracy {self.accuracy.metric} {self.accuracy.value:.4g}"] if self.accuracy else []
        figures = [
            f"{self.counts.median:,.0f} {self.unit}",
            f"flash {self.build.flash_bytes:,} B",
            f"RAM {self.build.ram_bytes:,} B",
            f"arena {self.arena.bytes:,} B",
            *known,
        ]
        return (
            f"<Result {Path(self.model.path).name} on {self.board.id}, {self.engine}: {', '.join(figures)}>"
        )

    def _repr_html_(self) -> str | None:
        """The headline figures, for a notebook, once there is somebody who writes HTML: see as_html."""
        return as_html[0](self) if as_html else None

    def to_frame(self) -> pd.DataFrame:
        """The ops as a pandas DataFrame, a row for each that was counted. Raises ToolError without pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ToolError(
                "to_frame() needs pandas, which is not installed", "pip install pandas"
            ) from error
        shapes = {op.index: op.output_shape for op in self.model.ops}
        rows = [
            {"index": cost.index, "op": cost.op, "output_shape": shapes.get(cost.index), **_flat(cost)}
            for cost in self.per_op
        ]
        frame = pd.DataFrame(rows, columns=None if rows else ["index", "op", "output_shape"])
        return frame.set_index("index")

    def to_json(self) -> dict[str, Any]:
        """The content of result.json: plain types, keys of unmeasured figures left out."""
        content: dict[str, Any] = json.loads(json.dumps(plain(self)))
        return content


def _flat(cost: OpCost) -> dict[str, Any]:
    """An op's figures without anything nested: the median of each count by its unit, and the layer's own."""
    row: dict[str, Any] = {count.unit: count.spread.median for count in cost.counted}
    row |= {"macs": cost.macs, "stack_bytes": cost.stack_bytes}
    layer = plain(cost.layer) if cost.layer else {}
    expected = {"expected_instructions": layer.pop("instructions")} if "instructions" in layer else {}
    return row | {name: value for name, value in layer.items() if name != "op"} | expected


as_html: list[Callable[[Result], str]] = []
"""Who shows a result as HTML in a notebook: the report, which results know nothing of, adds itself."""


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, without what is None; tuples as lists."""
    if dataclasses.is_dataclass(value):
        shown = [item for item in dataclasses.fields(value) if item.metadata != NOT_IN_JSON]
        pairs = ((item.name, getattr(value, item.name)) for item in shown)
        return {name: plain(item) for name, item in pairs if item is not None}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def schema() -> dict[str, Any]:
    """The JSON Schema of result.json."""
    loaded: dict[str, Any] = json.loads(
        (Path(__file__).with_name("result.schema.json")).read_text(encoding="utf-8")
    )
    return loaded
