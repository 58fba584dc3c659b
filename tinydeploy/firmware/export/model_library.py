"""The library: models with the kernels that they share, in the forms that build systems want, on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.engines.aot.identifiers import check_apart
from tinydeploy.errors import UsageError
from tinydeploy.firmware.export.forms import FORMS, Asked, files_of
from tinydeploy.firmware.export.library_model import LibraryModel
from tinydeploy.firmware.tree import FirmwareTree
from tinydeploy.host import output_folder
from tinydeploy.host.output_folder import Manifest

MANIFEST = "tinydeploy-export.json"
"""Names every file that was written, with its SHA-256: what differs from it is the user's own work."""

_MANIFEST = Manifest(MANIFEST, "tinydeploy.export/1", alone=True)


@dataclass(frozen=True)
class ModelLibrary:
    """A library's files, by their paths in its folder, and its name."""

    name: str
    files: Mapping[str, bytes]


def library(models: Sequence[LibraryModel], forms: Sequence[str]) -> ModelLibrary:
    """The library of `models` in so many `forms`, words of FORMS, named after the first model.

    Raises UsageError if names of models clash, or their kernels are for different cores.
    """
    asked = Asked(models[0].core, _known(forms))
    if others := [model.core.name for model in models if model.core != asked.core]:
        raise UsageError(f"the models are for {asked.core.name} and {others[0]}", "name one board with -b")
    check_apart([model.name for model in models])
    files: dict[str, bytes] = {}
    for model in models:
        files |= FirmwareTree.of(model.sources(), model.kernels(), meta=model.beside()).library
    files |= {path: text.encode() for path, text in files_of(models, [*files], asked).items()}
    return ModelLibrary(models[0].name, dict(sorted(files.items())))


def _known(forms: Sequence[str]) -> tuple[str, ...]:
    """The forms, each once. Raises UsageError if there is none, or one is no form."""
    unknown = [form for form in forms if form not in FORMS]
    if unknown or not forms:
        wrong = f"there is no form '{unknown[0]}'" if unknown else "no form was asked for"
        raise UsageError(wrong, f"it is one of {', '.join(FORMS)}")
    return tuple(dict.fromkeys(forms))


def write(made: ModelLibrary, folder: Path) -> Path:
    """Writes the library to `folder`, which appears with all its files or stays as it was; returns it.

    Raises UsageError, naming the file, if the folder holds what was not written so.
    """
    folder = output_folder.resolved(folder)
    files = {**made.files, MANIFEST: _MANIFEST.content(made.files)}
    with output_folder.staged(folder, files, _MANIFEST) as fresh:
        output_folder.write_files(files, fresh)
    return folder
