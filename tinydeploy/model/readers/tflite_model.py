"""The reader of .tflite files: into a Graph, or a refusal of what no engine could run.

The file is untrusted, and read through tflite_file.py alone.
Layout: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite
from flatbuffers.number_types import Int8Flags, Int32Flags

from tinydeploy.errors import ModelError
from tinydeploy.model.canonicalize import constant_folding, dilated_convolution, tile
from tinydeploy.model.canonicalize.constant_folding import CONTRADICTION_HINT
from tinydeploy.model.graph import Graph, Op
from tinydeploy.model.ops import catalogue
from tinydeploy.model.readers import (
    foreign,
    tflite_checks,
    tflite_options,
    tflite_rewriter,
    tflite_signatures,
    tflite_variables,
)
from tinydeploy.model.readers.tflite_file import DAMAGED_HINT, File
from tinydeploy.model.readers.tflite_tensors import TensorReader

MAX_FILE_BYTES = 256 << 20
VARIABLES_HINT = "state is a tf.Variable that one function reads and assigns, initialised with a constant"


def load(path: Path | str, signature: str | None = None) -> Graph:
    """Reads and checks the model at `path`: its first signature, or the one named.

    Raises ModelError if it cannot be used.
    """
    file = Path(path)
    try:
        if not file.exists():
            raise ModelError(f"no such model file: {file}")
        if file.is_dir() and (known := foreign.folder(file)):
            raise ModelError(*known)
        if not file.is_file():
            raise ModelError(f"{file} is not a file")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{file} is larger than {MAX_FILE_BYTES >> 20} MB: no microcontroller's model")
        data = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"cannot read {file}: {reason}") from error
    return parse(data, str(path), signature)


def parse(data: bytes, path: str, signature: str | None = None, *, may_be_float: bool = False) -> Graph:
    """The graph in the bytes of a .tflite file; `path` is for messages only. Raises ModelError.

    `signature` names one of several functions in the file. A model that computes in float is refused, unless
    it `may_be_float`: then it is to be quantised, not to be run on a device. Constants are read-only, shaped
    like their tensors, and views of `data` but for those of four bits, which become int8, and those computed
    here.
    """
    if not data:
        raise ModelError(f"{path} is empty", DAMAGED_HINT)
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise ModelError(*foreign.data(data, path))
    try:
        graph = _Reader(data, path).graph(signature)
    except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
        raise ModelError(f"{path} is cut short or damaged: offsets point outside it", DAMAGED_HINT) from error
    if not may_be_float:
        tflite_checks.check_float(graph)
    return graph


class _Reader:
    """Decodes one file. Errors of struct and numpy are left to parse()."""

    def __init__(self, data: bytes, path: str) -> None:
        self.file = File(data, path)
        self.codes: list[tuple[str, int]] = []  # kinds of ops and their versions
        self.buffers: list[npt.NDArray[np.uint8]] = []

    def graph(self, signature: str | None) -> Graph:
        model = self.file.table(tflite.Model.GetRootAs(self.file.data, 0))
        if model.Version() != 3:
            raise self.file.error(f"schema version {model.Version()} is unknown", "version 3 is wanted")
        codes = self.file.tables("operator codes", model.OperatorCodesLength(), model.OperatorCodes)
        self.codes = [self.op_kind(code) for code in codes]
        buffers = self.file.tables("buffers", model.BuffersLength(), model.Buffers)
        self.buffers = [self.buffer(buffer) for buffer in buffers]
        subgraphs = list(self.file.tables("subgraphs", model.SubgraphsLength(), model.Subgraphs))
        if not subgraphs:
            raise self.file.error("it has no subgraph: there is nothing to run")
        defined = self.file.tables("signatures", model.SignatureDefsLength(), model.SignatureDefs)
        known = [(self.file.text(table.SignatureKey()), table.SubgraphIndex()) for table in defined]
        name, chosen = tflite_signatures.choose(self.file.path, known, len(subgraphs), signature)
        table = subgraphs[chosen]
        read, ops = self.subgraph(table)
        inputs = read.indices("the model's inputs", table.InputsAsNumpy())
        outputs = read.indices("the model's outputs", table.OutputsAsNumpy())
        for index in inputs:
            read.check_input(index, table.Tensors(index))
        called = (i for i in tflite_signatures.called(ops) if i < len(subgraphs) and i != chosen)
        initialisers = {i: self.subgraph(subgraphs[i]) for i in called}
        tensors, ops = tflite_variables.resolve(
            (read.tensors, ops),
            {i: (other.tensors, their_ops) for i, (other, their_ops) in initialisers.items()},
            lambda text: self.file.error(text, VARIABLES_HINT),
        )
        kept = chosen, *initialisers
        graph = Graph(
            path=self.file.path,
            file=self.file.data,
            description=self.file.text(model.Description()),
            tensors=tensors,
            ops=ops,
            inputs=inputs,
            outputs=outputs,
            signature=name if len(known) > 1 else "",
        )
        tflite_checks.check_dataflow(graph)
        settled = tile.settle(dilated_convolution.merge(constant_folding.fold(graph)))
        change = tflite_rewriter.Change.between(graph, settled)
        if kept == tuple(range(len(subgraphs))) and not change:
            return settled
        return replace(settled, rewritten=partial(tflite_rewriter.rewrite, self.file.data, kept, change))

    def subgraph(self, table: Any) -> tuple[TensorReader, tuple[Op, ...]]:
        operators = list(self.file.tables("ops", table.OperatorsLength(), table.Operators))
        self.check_kinds(operators)
        read = TensorReader(self.file, self.buffers, table)
        return read, tuple(self.op(i, op, read) for i, op in enumerate(operators))

    def check_kinds(self, operators: Sequence[Any]) -> None:
        """Refuses ops that say what file this is, before whatever else is odd about it."""
        for index, op in enumerate(operators):
            kind = self.codes[op.OpcodeIndex()][0] if op.OpcodeIndex() < len(self.codes) else ""
            if known := foreign.op(kind):
                raise self.file.error(f"op {index} is {known[0]}", known[1])

    def op_kind(self, code: Any) -> tuple[str, int]:
        """The op's name and version. Codes above 126 do not fit the older field of one byte.

        Some converters fill in one field alone, and an absent one reads as 0. The schema package's own
        accessor does not know that.
        """
        older, newer = code._tab.Offset(4), code._tab.Offset(10)
        number = max(
            code._tab.Get(Int8Flags, older + code._tab.Pos) if older else 0,
            code._tab.Get(Int32Flags, newer + code._tab.Pos) if newer else 0,
        )
        kind = tflite_options.enum("BuiltinOperator").get(number)
        if kind is None:
            raise self.file.error(f"operator code {number} is unknown", DAMAGED_HINT)
        if kind == "CUSTOM":
            kind += ":" + re.sub(r"[^A-Za-z0-9_.]", "_", self.file.text(code.CustomCode()))
        return kind, int(code.Version())

    def buffer(self, buffer: Any) -> npt.NDArray[np.uint8]:
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise self.file.error("constants lie outside the flatbuffer", "such files are over 2 GB")
        raw = buffer.DataAsNumpy()  # not decoded but viewed, so it costs nothing
        return raw if isinstance(raw, np.ndarray) else np.zeros(0, np.uint8)

    def op(self, index: int, table: Any, read: TensorReader) -> Op:
        if table.OpcodeIndex() >= len(self.codes):
            raise self.file.error(
                f"op {index} names operator code {table.OpcodeIndex()} of {len(self.codes)}"
            )
        kind, version = self.codes[table.OpcodeIndex()]
        where = f"op {index} ({kind})"
        vectors = [self.file.vector(numbers) for numbers in (table.InputsAsNumpy(), table.OutputsAsNumpy())]
        self.file.count("inputs and outputs of ops", sum(vector.size for vector in vectors))
        inputs, outputs = (tuple(vector.tolist()) for vector in vectors)
        for tensor in (*(i for i in inputs if i != -1), *outputs):
            if not 0 <= tensor < len(read.tensors):
                raise self.file.error(f"{where} names tensor {tensor} of {len(read.tensors)}")
        read.check_types(where, kind, inputs, outputs)
        if not outputs and catalogue.of(kind).outputs:
            raise self.file.error(f"{where} has no output", CONTRADICTION_HINT)
        op = Op(index, kind, inputs, outputs, tflite_options.read(self.file, where, kind, table), version)
        tflite_checks.check_ranks(self.file, op, read.tensors)
        return op
