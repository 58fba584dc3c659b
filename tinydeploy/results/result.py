"""The result: frozen dataclasses whose JSON is result.json, checked by result.schema.json.

Sizes are bytes, counts are raw, durations are seconds. An emulator fills `instructions` and a board
`cycles` and `time_us`; a figure that was not measured is None and its key is left out of the JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.errors import ToolError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

from tinydeploy.results.measured import Accuracy, ArenaInfo, OpCost, Parity, Spread
from tinydeploy.results.setting import BoardInfo, BuildInfo, LibraryInfo, ModelInfo, Provenance, TargetInfo

SCHEMA = "tinydeploy.result/1"
_NOT_IN_JSON = {"json": False}


@dataclass(frozen=True, repr=False)
class Result:
    """One run of one model on one board with one engine. `time_us` is `cycles` at the board's clock.

    `optimize` is what the engine strove for, if it knows goals. `unjudged` says why labelled samples have no
    accuracy. `predictions` are not in the JSON.
    """

    model: ModelInfo
    board: BoardInfo
    engine: str
    target: TargetInfo
    build: BuildInfo
    arena: ArenaInfo
    stack_bytes: int
    stack_budget: int
    instructions: Spread | None
    per_op: tuple[OpCost, ...]
    accuracy: Accuracy | None
    parity: Parity | None
    warnings: tuple[str, ...]
    provenance: Provenance
    cycles: Spread | None = None
    time_us: Spread | None = None
    schema: str = SCHEMA
    library: LibraryInfo | None = None  # for an engine that stands on one
    optimize: str | None = None
    unjudged: str | None = None
    second_opinion: Parity | None = None  # the host reference's agreement with LiteRT
    # What the device answered: per model output an array [samples, *shape], in the model's own type.
    predictions: tuple[npt.NDArray[Any], ...] = field(
        default=(), repr=False, compare=False, metadata=_NOT_IN_JSON
    )

    @property
    def unit(self) -> str:
        """What was counted: "instructions" or "cycles"."""
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
            {"index": cost.index, "op": cost.op, "output_shape": shapes.get(cost.index), **plain(cost)}
            for cost in self.per_op
        ]
        frame = pd.DataFrame(rows, columns=None if rows else ["index", "op", "output_shape"])
        return frame.set_index("index")

    def to_json(self) -> dict[str, Any]:
        """The content of result.json: plain types, keys of unmeasured figures left out."""
        content: dict[str, Any] = json.loads(json.dumps(plain(self)))
        return content


as_html: list[Callable[[Result], str]] = []
"""Who shows a result as HTML in a notebook: the report, which results know nothing of, adds itself."""


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, without what is None; tuples as lists."""
    if dataclasses.is_dataclass(value):
        shown = [item for item in dataclasses.fields(value) if item.metadata != _NOT_IN_JSON]
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
