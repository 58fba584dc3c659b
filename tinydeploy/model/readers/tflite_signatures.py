"""Signatures: which of a file's functions is meant.

A converter writes a subgraph for each signature, and others that ops call: the initialisers of CALL_ONCE.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.errors import ModelError, UsageError
from tinydeploy.model.graph import Op


def choose(path: str, known: Sequence[tuple[str, int]], count: int, wanted: str | None) -> tuple[str, int]:
    """The name and the subgraph of the signature `wanted`, or of the first; `known` are all, by subgraph.

    A file without signatures has one function, its first subgraph of `count`. Raises UsageError if there is
    no such signature, ModelError if its subgraph is not there.
    """
    if wanted is not None and wanted not in dict(known):
        names = ", ".join(name for name, _ in known)
        hint = f"its signatures are {names}" if known else "the file names none: leave --signature out"
        raise UsageError(f"{path} has no signature '{wanted}'", hint)
    name, subgraph = next((pair for pair in known if wanted in (None, pair[0])), ("", 0))
    if subgraph >= count:
        raise ModelError(f"{path}: the signature '{name}' names subgraph {subgraph} of {count}")
    return name, subgraph


def called(ops: Sequence[Op]) -> tuple[int, ...]:
    """The subgraphs that initialise variables for these ops, in order, without those that cannot be."""
    indices = {op.options["init_subgraph_index"] for op in ops if op.kind == "CALL_ONCE"}
    return tuple(sorted(index for index in indices if isinstance(index, int) and index >= 0))
