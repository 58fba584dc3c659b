"""`run --float`: the float model on the samples that the device is given."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tinydeploy.errors import DataError, ModelError, UsageError
from tinydeploy.evaluate import data_request
from tinydeploy.evaluate.breakdown import FloatAnswers
from tinydeploy.evaluate.request import Run
from tinydeploy.host import tools
from tinydeploy.model import samples as sample_files
from tinydeploy.prepare import sources
from tinydeploy.prepare.float_host import FloatHost
from tinydeploy.progress import Progress


def answers(model: str | Path, asked: Run, progress: Progress) -> FloatAnswers:
    """What the float model says of the samples of `asked`, by LiteRT.

    Raises UsageError without labelled data, DataError for data that are the int8 model's codes, ModelError.
    """
    if asked.data is None:
        raise UsageError("--float compares on labelled data, and none are given", "add --data")
    source = sources.load(model, progress)
    if source.floats is None:
        raise ModelError(
            f"{source.path} is quantised already", "--float names the float model that it was made of"
        )
    graph = source.floats.graph
    try:
        read = data_request.read(asked.data, graph, asked.beside.preparation)
        found = sample_files.load(read, graph, asked.count, asked.wishes)
    except DataError as error:
        raise DataError(f"the float model cannot take these data: {error.message}", error.hint) from error
    if found.judge is None:
        raise UsageError("--float compares on labelled data, and these have no labels that can be used")
    progress("running the float model", 0, 0)
    outputs = FloatHost().run(source.floats.content, found.inputs)
    digest = hashlib.sha256(source.path.read_bytes()).hexdigest() if source.path.is_file() else ""
    name = f"LiteRT {tools.version('ai-edge-litert')}"
    return FloatAnswers(str(source.path), digest, name, graph, found.judge, outputs)
