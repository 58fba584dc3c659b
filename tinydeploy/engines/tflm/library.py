"""The TFLite Micro library, whichever shape it comes in, as one that PlatformIO can build.

The sources stay where they are. PlatformIO gets a folder of the cache with nothing but a library.json, which
names the sources, the include folders and what to leave out; so a library needs no manifest of its own, is
never written to, and its objects are shared by all projects on the same board.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tinydeploy.boards.board import Board
from tinydeploy.engines.engine import Library
from tinydeploy.engines.tflm.library_download import HINT, download
from tinydeploy.engines.tflm.library_identity import identity
from tinydeploy.engines.tflm.source_selection import (
    FOR_ESP_NN,
    KERNELS,
    RESOLVER,
    Registrations,
    Sources,
    registrations,
)
from tinydeploy.errors import ModelError, UsageError
from tinydeploy.host import cache, paths, templates
from tinydeploy.model.ops.catalogue import CATALOGUE
from tinydeploy.words import TFLM_VARIABLE

CHIRALE = (
    "https://github.com/spaziochirale/Chirale_TensorFlowLite.git#46da2f989205a9216229d38cd3d1c657d79d6781"
)
WCL = "https://github.com/trylaarsdam/pio-tflite-lib.git#a887b00541e4817abbaa0cebf0b167379f896e50"
ESPRESSIF = "https://github.com/espressif/esp-tflite-micro.git#99f49e1498b0984f4db54d9bf3938aceb99ad422"
ESP_NN = "https://github.com/espressif/esp-nn.git#d45b843ca5f873ca9d0706ab0e7f14eafd132e98"
_FULLY_CONNECTED = "tensorflow/lite/micro/kernels/fully_connected_common.c*"
_ONE_SCALE = (
    "{} takes one scale for all weights of a FULLY_CONNECTED, and this model has one per channel: "
    "its outputs are wrong; a newer TFLite Micro, or --engine aot, gets them right"
)
_TREE_SCRIPT = Path("tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py")
_CMSIS_NN_HEADER = Path("third_party/cmsis_nn/Include/arm_nnfunctions.h")
_ESP32_S3 = "esp32s3"

_INCLUDES = (
    "",
    "third_party/flatbuffers/include",
    "third_party/gemmlowp",
    "third_party/ruy",
    "third_party/kissfft",
    "third_party/cmsis/CMSIS/Core/Include",
    "third_party/cmsis_nn",
    "third_party/cmsis_nn/Include",
)
# The wrappers of KissFFT include its sources; a target's own clock and log are the firmware's.
_COMPILED = (
    "+<tensorflow/>",
    "+<signal/>",
    "+<third_party/cmsis_nn/Source/>",
    "-<tensorflow/lite/experimental/>",
    "-<tensorflow/lite/micro/cortex_m_generic/>",
    "-<tensorflow/lite/micro/esp/>",
    "-<tensorflow/lite/micro/kernels/esp_nn/>",
    "-<tensorflow/lite/micro/fake_*>",
    "-<tensorflow/lite/micro/mock_*>",
    "-<tensorflow/lite/micro/recording_*>",
    "-<tensorflow/lite/micro/arena_allocator/recording_*>",
    "-<tensorflow/lite/micro/*test_help*>",
)
# What is compiled of these is chosen for the model.
_CHOSEN = (f"-<{KERNELS}/>", "-<signal/>", "-<third_party/cmsis_nn/Source/>")
# The kernels for ESP-NN stand beside the reference ones that they replace. ESP-NN itself is another library,
# which is looked for beside TFLite Micro, under the names that git and ESP-IDF give it.
_ESP_NN_FOLDERS = ("esp-nn", "espressif__esp-nn")


def default_source(board: Board) -> str:
    """The best TFLite Micro that anybody can download as a PlatformIO library for this board, pinned."""
    if board.core.is_arm:
        return CHIRALE
    return ESPRESSIF if _is_esp32(board) else WCL


def find(
    source: str | None, board: Board, variants: Mapping[str, str], *, per_channel: bool = False
) -> Library:
    """The library that `source` names: a folder, a git address (with "#commit") or a registry spec.

    None means what $TINYDEPLOY_TFLM names, else `default_source`. `variants` has the resolver's method for
    each kind of op, and what ends the name of a kernel for its types alone: {"AddConv2D": "_INT8"}.
    `per_channel` says that the weights of a FULLY_CONNECTED have a scale for each channel, which older
    kernels do not see. Raises ToolError if it cannot be had, UsageError if it is not TFLite Micro,
    ModelError if its resolver lacks one of the methods.
    """
    wanted = source or os.environ.get(TFLM_VARIABLE) or default_source(board)
    folder = Path(wanted).expanduser()
    if not os.path.isdir(folder):  # noqa: PTH112 - Path's raises for a long name
        if _is_path(wanted):
            raise UsageError(f"no such folder: {wanted}", HINT)
        folder = download(wanted)
    return _recognise(folder.resolve(), board, variants, per_channel)


def _is_path(source: str) -> bool:
    return source.startswith((".", "/", "~"))


def _is_esp32(board: Board) -> bool:
    return board.arduino is not None and board.arduino.platform.partition("@")[0] == "espressif32"


def _recognise(folder: Path, board: Board, variants: Mapping[str, str], per_channel: bool) -> Library:
    root = next((root for root in (folder, folder / "src") if (root / RESOLVER).is_file()), None)
    if root is None:
        raise UsageError(f"{folder} does not hold TFLite Micro: {RESOLVER} is missing", HINT)
    if (root / _TREE_SCRIPT).is_file():
        raise _checkout(root, board)
    known = registrations(root)
    missing = [adder for adder in variants if adder not in known.adders]
    name, version = identity(folder, root)
    if missing:
        raise ModelError(
            f"{name} {version} lacks {', '.join(missing)}, which the model needs",
            "take a newer TFLite Micro, or --engine aot",
        )
    defines = _defines(folder, root)
    if (root / _CMSIS_NN_HEADER).is_file():
        version += f"; CMSIS-NN {_cmsis_nn_version(root)}"
    sources = list(_COMPILED)
    includes = [root / include for include in _INCLUDES if (root / include).is_dir()]
    chip = board.arduino.mcu if board.arduino and _is_esp32(board) else ""
    others: tuple[str, ...] = ()
    if chip and (root / FOR_ESP_NN).is_dir():
        kernels = sorted(path.name for path in (root / FOR_ESP_NN).glob("*.cc"))
        sources += [f"+<{FOR_ESP_NN}/>", *(f"-<{FOR_ESP_NN.parent}/{kernel}>" for kernel in kernels)]
        esp_nn = _esp_nn(folder)
        includes.append(esp_nn / "include")
        version += f"; ESP-NN {identity(esp_nn, esp_nn)[1]}"
        defines += ["ESP_NN", "CONFIG_NN_OPTIMIZED=1"]
        others = (_esp_nn_manifest(esp_nn, chip),)
        if chip == _ESP32_S3:
            defines.append("CONFIG_IDF_TARGET_ESP32S3=1")
    calls = _calls(variants, known)
    needed = Sources(root, esp_nn=bool(chip)).needed(calls.values())
    if needed is not None:
        sources = [*_COMPILED, *_CHOSEN, *(f"+<{path}>" for path in needed)]
    manifest = _manifest(root, chip, f"TFLite Micro in {folder}", None, _include_flags(includes))
    knows = not per_channel or any(
        b"per_channel" in path.read_bytes() for path in root.glob(_FULLY_CONNECTED)
    )
    resolver = templates.render("op_resolver.h.j2", calls=calls, default=known.by_adder)
    return Library(
        name=name,
        version=version,
        dependencies=(manifest, *others),
        flags=tuple(f"-D{define}" for define in defines),
        kernels={kind: row.fast_kernels for kind, row in CATALOGUE.items() if row.fast_kernels},
        warnings=() if knows else (_ONE_SCALE.format(f"{name} {version}"),),
        files={"op_resolver.h": resolver},
        sources=tuple(sources),
    )


def _defines(folder: Path, root: Path) -> list[str]:
    """The macros by which the library chooses its kernels."""
    defines = ["NDEBUG", "TF_LITE_STATIC_MEMORY"]
    if (root / "tensorflow/lite/micro/kernels/cmsis_nn").is_dir():
        # Without the second, vector kernels sum up weights in every inference, and their SVDF does not start.
        defines += ["CMSIS_NN", "KERNELS_OPTIMIZED_FOR_SPEED"]
    if (folder / "library.properties").is_file():
        # Arduino's editions choose their sources and C++ by these.
        defines += ["ARDUINO=10819", "ARDUINO_EXCLUDE_CODE"]
    return defines


def _checkout(root: Path, board: Board) -> UsageError:
    """TFLite Micro as its developers have it: its own script makes of it what can be compiled."""
    kernels = " OPTIMIZED_KERNEL_DIR=cmsis_nn" if board.core.is_arm else ""
    options = f"TARGET=cortex_m_generic TARGET_ARCH=project_generation{kernels}"
    return UsageError(
        f"{root} is a checkout of TFLite Micro, whose third-party sources are not in it; make a tree of it",
        f'cd {shlex.quote(str(root))} && python3 {_TREE_SCRIPT} --makefile_options="{options}" ~/tflm-tree; '
        "it needs make, wget, unzip, Python's numpy and Pillow, and a network; then name ~/tflm-tree",
    )


def _calls(variants: Mapping[str, str], known: Registrations) -> dict[str, str]:
    """By method of the resolver what registers the kernel: one for the types alone if there is one."""
    return {
        adder: known.variant(adder, suffix) or known.by_adder.get(adder, "")
        for adder, suffix in variants.items()
    }


def _cmsis_nn_version(root: Path) -> str:
    """The release of CMSIS-NN and its date, as the header tells them: "19.1.0 (27 March 2026)"."""
    head = (root / _CMSIS_NN_HEADER).read_text(errors="replace")[:4096]
    release = re.search(r"\$Revision:\s*V?\.?\s*([\w.]+)", head)
    date = re.search(r"\$Date:\s*(.+)", head)
    return (release[1] if release else "of unknown version") + (f" ({date[1].strip()})" if date else "")


def _esp_nn(folder: Path) -> Path:
    """ESP-NN for the TFLite Micro in `folder`: beside it, or else downloaded."""
    beside = (folder.parent / name for name in _ESP_NN_FOLDERS)
    found = next((path for path in beside if (path / "include/esp_nn.h").is_file()), None)
    return found or download(ESP_NN)


def _esp_nn_manifest(esp_nn: Path, chip: str) -> str:
    """ESP-NN with the code that this chip can run: plain C, and the ESP32-S3 has vector instructions."""
    sources = ["+<src/>", "-<src/**/*_esp32p4.*>"]
    flags = _include_flags([esp_nn / "include", esp_nn / "src/common"])
    if chip == _ESP32_S3:
        flags += ["-mlongcalls", "-fno-unroll-loops"]
    else:
        sources.append("-<src/**/*_esp32s3.*>")
    return _manifest(esp_nn, chip, f"ESP-NN in {esp_nn}", sources, flags)


def _include_flags(folders: Sequence[Path]) -> list[str]:
    return [f"-I{folder}" for folder in folders]


def _manifest(
    root: Path, chip: str, description: str, sources: Sequence[str] | None, flags: Sequence[str]
) -> str:
    """The dependency on the sources in `root`: a folder that stands for them, made if it is missing.

    Its name is where the sources lie, and the chip if they are chosen for one: so all models share objects.
    Without `sources`, the project says what is compiled (library.py in the folder reads it).
    """
    name = hashlib.sha256(f"{root}{chip}".encode()).hexdigest()[:12]
    shadow = paths.cache_dir() / "libraries" / f"tflm-{name}"
    script = paths.FIRMWARE / "tflm" / "library.py"
    build = {
        "srcDir": str(root),
        "includeDir": str(root),
        # Messages name a file by its place in the library, so that flash does not depend on where that lies.
        "flags": ["-w", f"-ffile-prefix-map={root}/=", *flags],
        "libLDFMode": "off",
        "libCompatMode": "off",
    }
    manifest = {
        "name": shadow.name,
        "version": "0.0.0",
        "description": description,
        "build": build | ({"extraScript": script.name} if sources is None else {"srcFilter": list(sources)}),
    }
    _update(shadow / script.name, script.read_text(encoding="utf-8"))
    _update(shadow / "library.json", json.dumps(manifest, indent=2) + "\n")
    return f"symlink://{shadow}"


def _update(path: Path, text: str) -> None:
    """Has `path` hold `text`, whole at every moment."""
    content = text.encode()
    with suppress(OSError):
        if path.read_bytes() == content:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        cache.remove(path)
    whole = path.with_suffix(f".{os.getpid()}")
    whole.write_bytes(content)
    whole.replace(path)
