"""The forms of a library: what each build system wants beside `src/` and `include/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tinydeploy.boards.core import Core
from tinydeploy.firmware.export.library_model import LibraryModel
from tinydeploy.host import templates
from tinydeploy.version import __version__

EXAMPLE = "examples"


@dataclass(frozen=True)
class Asked:
    """What a library was asked for: the core that its kernels are for, and in which forms."""

    core: Core
    forms: tuple[str, ...]

    @property
    def is_portable(self) -> bool:
        """Whether its kernels run on any core."""
        return self.core.kernels == "portable"

    @property
    def standard(self) -> str:
        """The C++ that its sources need."""
        return "11" if self.is_portable else "17"


@dataclass(frozen=True)
class Form:
    """A form: what people call it, its templates by the path of what they make, and what else it has.

    A template that makes nothing makes no file. Paths and templates are told `name` (of the library),
    `models`, `first` (the model that examples run), `sources` (all that is compiled), `asked` and `version`.
    """

    title: str
    templates: Mapping[str, str]
    more: Callable[[Sequence[LibraryModel]], Mapping[str, str]] = lambda _: {}


def _forwarded(models: Sequence[LibraryModel]) -> dict[str, str]:
    """Headers where Arduino looks for them."""
    names = (f"{model.name}.{ending}" for model in models for ending in ("h", "hpp"))
    return {f"src/{name}": f'#include "../include/{name}"\n' for name in names}


_CLASSIFIER = "classifier.h.j2"
FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "c": Form(
            "plain sources",
            {
                "Makefile": "Makefile.j2",
                f"{EXAMPLE}/host/main.c": "main_host.c.j2",
                f"{EXAMPLE}/host/classifier.h": _CLASSIFIER,
            },
        ),
        "cmake": Form(
            "a CMake package",
            {
                "CMakeLists.txt": "CMakeLists.txt.j2",
                "cmake/config.cmake.in": "config.cmake.in.j2",
                "cmake/toolchain.cmake": "toolchain.cmake.j2",
                f"{EXAMPLE}/host/main.c": "main_host.c.j2",
                f"{EXAMPLE}/host/classifier.h": _CLASSIFIER,
                f"{EXAMPLE}/host/model.py": "model.py.j2",
                f"{EXAMPLE}/qemu/qemu.cmake": "qemu.cmake.j2",
                f"{EXAMPLE}/qemu/startup.c": "qemu_startup.c.j2",
                f"{EXAMPLE}/qemu/mps2.ld": "qemu_mps2.ld.j2",
            },
        ),
        "platformio": Form(
            "a PlatformIO library",
            {
                "library.json": "library.json.j2",
                f"{EXAMPLE}/platformio/platformio.ini": "example_platformio.ini.j2",
                f"{EXAMPLE}/platformio/src/main.cpp": "main_arduino.ino.j2",
                f"{EXAMPLE}/platformio/src/classifier.h": _CLASSIFIER,
            },
        ),
        "arduino": Form(
            "an Arduino library",
            {
                "library.properties": "library.properties.j2",
                f"{EXAMPLE}/{{name}}_classify/{{name}}_classify.ino": "main_arduino.ino.j2",
                f"{EXAMPLE}/{{name}}_classify/classifier.h": _CLASSIFIER,
            },
            _forwarded,
        ),
        "esp-idf": Form(
            "an ESP-IDF component",
            {
                "CMakeLists.txt": "CMakeLists.txt.j2",
                "idf_component.yml": "idf_component.yml.j2",
                f"{EXAMPLE}/esp-idf/CMakeLists.txt": "idf_CMakeLists.txt.j2",
                f"{EXAMPLE}/esp-idf/sdkconfig.psram": "idf_sdkconfig.psram.j2",
                f"{EXAMPLE}/esp-idf/main/CMakeLists.txt": "idf_main_CMakeLists.txt.j2",
                f"{EXAMPLE}/esp-idf/main/main.c": "main_idf.c.j2",
                f"{EXAMPLE}/esp-idf/main/classifier.h": _CLASSIFIER,
            },
        ),
        "zephyr": Form(
            "a Zephyr module",
            {
                "zephyr/module.yml": "zephyr_module.yml.j2",
                "zephyr/CMakeLists.txt": "zephyr_CMakeLists.txt.j2",
                "zephyr/Kconfig": "zephyr_Kconfig.j2",
                f"{EXAMPLE}/zephyr/CMakeLists.txt": "zephyr_app_CMakeLists.txt.j2",
                f"{EXAMPLE}/zephyr/prj.conf": "zephyr_prj.conf.j2",
                f"{EXAMPLE}/zephyr/src/main.c": "main_zephyr.c.j2",
                f"{EXAMPLE}/zephyr/src/classifier.h": _CLASSIFIER,
            },
        ),
        "cmsis-pack": Form("a CMSIS-Pack", {"tinydeploy.{name}.pdsc": "pack.pdsc.j2"}),
    }
)
"""Every form, by what --as calls it."""


def files_of(models: Sequence[LibraryModel], paths: Sequence[str], asked: Asked) -> dict[str, str]:
    """What the forms that were asked for add to a library of `models`, whose own files have these `paths`."""
    first = models[0]
    told = {
        "name": first.name,
        "models": models,
        "first": first,
        "sources": sorted(path for path in paths if path.endswith(".cpp")),
        "headers": sorted(path for path in paths if path.startswith("include/")),
        "asked": asked,
        "forms": {form: FORMS[form].title for form in asked.forms},
        "version": __version__,
    }
    files = {"README.md": templates.render("export_README.md.j2", **told)}
    for form in (FORMS[form] for form in asked.forms):
        files |= form.more(models)
        made = {path: templates.render(template, **told) for path, template in form.templates.items()}
        files |= {path.format(name=first.name): text for path, text in made.items() if text.strip()}
    return files
