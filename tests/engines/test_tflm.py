"""The tflm engine: what it writes, the libraries that it takes, and the whole way where one is at hand.

TINYDEPLOY_TFLM names the library for the tests that need one.
"""

import json
import os
import re
import socket
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tflite
from elftools.elf.elffile import ELFFile
from model_builder import ModelBuilder

from tinydeploy import verbs, words
from tinydeploy.boards import lookup
from tinydeploy.engines.tflm import library, library_identity, source_selection
from tinydeploy.engines.tflm.tflm_engine import TflmEngine, _variants
from tinydeploy.errors import ModelError, ToolError, UsageError
from tinydeploy.evaluate import board_checks
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.host import reference, tools
from tinydeploy.model.graph import Graph
from tinydeploy.model.ops.catalogue import CATALOGUE
from tinydeploy.model.readers import tflite_model
from tinydeploy.results.result import schema

REPO = Path(__file__).resolve().parents[2]
MODELS = REPO / "models"
MLPERF_TINY = REPO.parent / "shared" / "models" / "mlperf-tiny"
BOARD = lookup.board("mps2-an386")
M4F = BOARD.core
ADDERS = {kind: row.resolver for kind, row in CATALOGUE.items() if row.resolver}
TFLM = os.environ.get(words.TFLM_VARIABLE, "")

needs_tflm = pytest.mark.skipif(
    not TFLM or not tools.has_cxx_library(M4F.toolchain),
    reason=f"{words.TFLM_VARIABLE} names no TFLite Micro, or libstdc++ for Arm is not installed",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(words.TFLM_VARIABLE, raising=False)
    return tmp_path / "cache"


def fake(folder: Path, *files: str, root: str = "") -> Path:
    """A folder with a resolver that knows RESHAPE and SOFTMAX, and `files` beside it."""
    resolver = folder / root / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    resolver.parent.mkdir(parents=True)
    resolver.write_text(
        "/* Copyright 2024 The TensorFlow Authors. */\n"
        "TfLiteStatus AddReshape() {}\nTfLiteStatus AddSoftmax(const T& registration = Register()) {}\n"
    )
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def manifest(found: library.Library, index: int = 0) -> dict[str, Any]:
    folder = Path(found.dependencies[index].removeprefix("symlink://"))
    build: dict[str, Any] = json.loads((folder / "library.json").read_text())["build"]
    return build


def graph_of(kind: str, dtype: str = "int8") -> Graph:
    builder = ModelBuilder()
    source, result = (builder.tensor((1, 8), dtype, scale=0.5, zero_point=0) for _ in range(2))
    builder.op(kind, [source], [result])
    return tflite_model.parse(builder.build(inputs=[source], outputs=[result]), "made.tflite")


# What it writes.


def test_the_program_registers_exactly_the_ops_of_the_model(tmp_path: Path, cache: Path) -> None:
    graph = tflite_model.load(MODELS / "mnist" / "mnist.tflite")
    sources = TflmEngine().generate(graph, BOARD)
    tree = fake_of_digits(tmp_path / "tree", graph)
    resolver = TflmEngine(str(tree)).library(graph, BOARD).files["op_resolver.h"]
    kinds = {op.kind for op in graph.ops}
    assert set(re.findall(r"if \(resolver\.(\w+)\(\) != kTfLiteOk\) return false;", resolver)) == {
        ADDERS[kind] for kind in kinds
    }
    assert f"MicroMutableOpResolver<{len(kinds)}>" in resolver
    assert '#include "op_resolver.h"' in sources.files["model.cpp"]
    assert sources.arena is None
    assert sources.profiled_ops == tuple(range(len(graph.ops)))


def test_the_model_is_in_it_to_the_last_byte() -> None:
    graph = tflite_model.load(MODELS / "digits" / "digits.tflite")
    text = TflmEngine().generate(graph, BOARD).files["model_data.cpp"]
    assert f"alignas(16) const uint8_t kFile[{graph.file_bytes}]" in text
    body = text[text.index("= {") + 3 : text.index("};")]
    assert bytes(int(number) for number in body.replace(",", " ").split()) == graph.content


@pytest.mark.parametrize(("board", "system"), [("mps2-an386", True), ("pico", False)])
def test_the_projects_settings(tmp_path: Path, cache: Path, board: str, system: bool) -> None:
    """An Arduino core has a C library and an exit of its own; a bare board has what the engine brings."""
    engine = TflmEngine(str(fake_of_digits(tmp_path / "tree")))
    digits = tflite_model.load(MODELS / "digits" / "digits.tflite")
    files = prepare(digits, for_board=True, board=board, engine=engine, link="uart").project(1024).files
    settings = files["platformio.ini"].decode()
    assert "lib_deps =\n  symlink://" in settings and "  -DTF_LITE_STATIC_MEMORY\n" in settings
    assert ("custom_libc" in settings) == ("src/newlib.cpp" in files) == system
    without = (
        prepare(digits, for_board=True, board=board, link="uart")
        .project(1024)
        .files["platformio.ini"]
        .decode()
    )
    assert "lib_deps" not in without and "TF_LITE" not in without


def test_a_self_test_is_built_as_the_firmware_is(tmp_path: Path, cache: Path) -> None:
    """With the same library; and its arena, which nobody can name, is all RAM that is left."""
    engine = TflmEngine(str(fake_of_digits(tmp_path / "tree")))
    project = verbs.generate(
        MODELS / "digits", tmp_path / "project", board="disco_f407vg", engine=engine, renode_test=True
    )
    settings = (project / "platformio.ini").read_text()
    assert "[env:selftest]\nextends = env:disco_f407vg\nbuild_src_flags = -DTINYDEPLOY_SELFTEST=1" in settings
    assert "#define TINYDEPLOY_ARENA_BYTES 0" in (project / "src/board.h").read_text()
    workflow = (project / ".github/workflows/renode.yml").read_text()
    assert "gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib" in workflow and "lib_deps" in workflow


def test_ops_without_a_kernel_are_refused() -> None:
    engine = TflmEngine()
    assert engine.refusals(graph_of("RELU")) == ()
    assert [refusal.reason for refusal in engine.refusals(graph_of("GELU"))] == ["TFLite Micro has no kernel"]
    with pytest.raises(ModelError, match="tflm cannot run op 0, GELU"):
        engine.generate(graph_of("GELU"), BOARD)


def test_int16_runs_where_aot_would_not() -> None:
    assert TflmEngine().refusals(graph_of("RELU", "int16")) == ()


def refused(builder: ModelBuilder, source: int, result: int) -> str:
    graph = tflite_model.parse(builder.build([source], [result]), "made.tflite")
    return board_checks.reasons(graph, TflmEngine().refusals(graph))


def test_what_tflite_micro_refuses_to_allocate_is_refused_with_its_reason() -> None:
    graph = graph_of("EXP")  # TFLite Micro has the op, for float
    assert re.fullmatch(
        r"1 of 1 op: EXP \(op 0: TFLite Micro: exp\.cc:\d+ input->type != kTfLiteFloat32 \(INT8 .*\)\)",
        board_checks.reasons(graph, TflmEngine().refusals(graph)),
    )


def test_what_it_refuses_while_it_runs_is_refused_too() -> None:
    model = ModelBuilder()
    x, y = model.tensor((2, 3), "int32"), model.tensor((3, 2), "int32")
    model.op("TRANSPOSE", [x, model.tensor((2,), "int32", data=[1, 0])], [y])
    assert "TRANSPOSE (op 0: TFLite Micro: Type INT32 is currently not supported" in refused(model, x, y)


def test_a_crash_is_a_no_and_the_next_model_is_asked_afresh() -> None:
    graph = graph_of("RELU")
    broken = replace(graph, file=graph.file[:8] + b"\xff" * 200)
    assert "TFLite Micro" in board_checks.reasons(broken, TflmEngine().refusals(broken))
    assert TflmEngine().refusals(graph_of("RELU6")) == ()


@pytest.mark.parametrize(
    ("kind", "shape", "arrays", "batch", "made"),
    [
        ("SPACE_TO_BATCH_ND", (1, 8, 4), ([2], [[0, 0]]), (1, 4, 4), (2, 4, 4)),
        ("BATCH_TO_SPACE_ND", (4, 3, 2), ([2], [[1, 1]]), (1, 4, 2), (2, 4, 2)),
    ],
)
def test_a_batch_that_the_converter_did_not_know(
    kind: str, shape: tuple[int, ...], arrays: tuple[Any, Any], batch: tuple[int, ...], made: tuple[int, ...]
) -> None:
    """The file has 1 for it, and TFLite Micro computes a part of the output without a word."""
    for output, right in ((batch, False), (made, True)):
        model = ModelBuilder()
        x, y = model.tensor(shape, scale=0.1), model.tensor(output, scale=0.1)
        constants = [model.tensor(np.shape(a), "int32", data=np.array(a)) for a in arrays]
        model.op(kind, [x, *constants], [y])
        graph = tflite_model.parse(model.build([x], [y]), "made.tflite")
        found = TflmEngine().refusals(graph)
        assert (found == ()) == right
        if not right:
            with pytest.raises(ModelError) as caught:
                board_checks.check(graph, TflmEngine(), BOARD)
            assert (
                f"which should be {list(made)}" in caught.value.message
                and "batch_size=1" in caught.value.hint
            )


def test_an_output_larger_than_the_broadcast_of_both_inputs() -> None:
    model = ModelBuilder()
    x, z, y = (model.tensor(shape, scale=0.1) for shape in ((1, 1), (1, 1), (1, 64)))
    model.op("MINIMUM", [x, z], [y])
    graph = tflite_model.parse(model.build([x, z], [y]), "made.tflite")
    (refusal,) = TflmEngine().refusals(graph)
    assert refusal.reason == "its output is [1, 64] in the file, which should be [1, 1]"


def test_without_the_interpreter_the_lists_have_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "available", lambda: False)
    assert TflmEngine().refusals(graph_of("EXP")) == ()
    assert TflmEngine().refusals(graph_of("GELU"))


# The libraries that it takes.


def test_a_tree_of_project_generation(tmp_path: Path, cache: Path) -> None:
    tree = fake(
        tmp_path / "tree",
        "tensorflow/lite/micro/kernels/cmsis_nn/conv.cc",
        "third_party/cmsis_nn/Include/arm_nnfunctions.h",
        "third_party/flatbuffers/include/flatbuffers/flatbuffers.h",
    )
    found = library.find(str(tree), BOARD, {"AddReshape": ""})
    assert found.name == "TFLite Micro"
    told = r"copyright 2024, content [0-9a-f]{12}; CMSIS-NN of unknown version"
    assert re.fullmatch(told, found.version)
    assert found.flags[:3] == ("-DNDEBUG", "-DTF_LITE_STATIC_MEMORY", "-DCMSIS_NN")
    assert found.flags[3:] == ("-DKERNELS_OPTIMIZED_FOR_SPEED",)
    built = manifest(found)
    assert built["srcDir"] == str(tree)
    flags = built["flags"]
    assert isinstance(flags, list)
    assert {f"-I{tree}/third_party/cmsis_nn/Include", f"-I{tree}/third_party/flatbuffers/include"} <= set(
        flags
    )


def test_a_platformio_library(tmp_path: Path, cache: Path) -> None:
    folder = fake(tmp_path / "pio", root="src")
    (folder / "library.json").write_text('{"name": "Tensorflow Lite", "version": "1.1.1"}')
    found = library.find(str(folder), BOARD, {"AddSoftmax": ""})
    assert found.name == "Tensorflow Lite"
    assert found.version.startswith("1.1.1, copyright 2024, content ")
    assert found.flags == ("-DNDEBUG", "-DTF_LITE_STATIC_MEMORY")
    assert manifest(found)["srcDir"] == str(folder / "src")


def test_an_arduino_library(tmp_path: Path, cache: Path) -> None:
    folder = fake(tmp_path / "arduino", "src/tensorflow/lite/micro/kernels/cmsis_nn/conv.cpp", root="src")
    (folder / "library.properties").write_text("name=Some_TensorFlowLite\nversion=2.0.0\nurl=a=b\n")
    found = library.find(str(folder), BOARD, {})
    assert (found.name, found.version.split(",")[0]) == ("Some_TensorFlowLite", "2.0.0")
    assert {"-DARDUINO=10819", "-DARDUINO_EXCLUDE_CODE", "-DCMSIS_NN"} <= set(found.flags)


@pytest.mark.parametrize(("board", "vectors"), [("esp32dev", False), ("esp32-s3-devkitc-1", True)])
def test_an_esp32_gets_esp_nn(tmp_path: Path, cache: Path, board: str, vectors: bool) -> None:
    kernels = "tensorflow/lite/micro/kernels"
    tree = fake(tmp_path / "esp-tflite-micro", f"{kernels}/esp_nn/conv.cc", f"{kernels}/conv.cc")
    esp_nn = tmp_path / "espressif__esp-nn"
    (esp_nn / "include").mkdir(parents=True)
    (esp_nn / "include/esp_nn.h").write_text("")
    found = library.find(str(tree), lookup.board(board), {"AddReshape": ""})
    assert {"-DESP_NN", "-DCONFIG_NN_OPTIMIZED=1"} <= set(found.flags)
    assert ("-DCONFIG_IDF_TARGET_ESP32S3=1" in found.flags) == vectors
    assert re.search(r"content [0-9a-f]{12}; ESP-NN content [0-9a-f]{12}$", found.version)
    tflm, nn = (manifest(found, index) for index in range(2))
    assert f"-I{esp_nn}/include" in tflm["flags"]
    assert found.sources[-2:] == (f"+<{kernels}/esp_nn/>", f"-<{kernels}/conv.cc>")
    assert nn["srcDir"] == str(esp_nn)
    assert ("-<src/**/*_esp32s3.*>" in nn["srcFilter"]) != vectors
    elsewhere = library.find(str(tree), BOARD, {"AddReshape": ""})
    assert len(elsewhere.dependencies) == 1
    assert elsewhere.sources[-1] != found.sources[-1]


def test_the_usual_library_is_the_platforms_own() -> None:
    usual = {board: library.default_source(lookup.board(board)) for board in ("esp32dev", "mps2-an386")}
    assert usual == {"esp32dev": library.ESPRESSIF, "mps2-an386": library.CHIRALE}
    assert library.default_source(lookup.board("esp32-c3-devkitm-1-arduino")) == library.ESPRESSIF
    assert library.default_source(lookup.board("hifive1")) == library.WCL


def test_the_users_folder_is_left_as_it_was(tmp_path: Path, cache: Path) -> None:
    folder = fake(tmp_path / "tree")
    before = sorted(folder.rglob("*"))
    library.find(str(folder), BOARD, {})
    assert sorted(folder.rglob("*")) == before


def test_a_change_of_the_library_is_another_firmware(tmp_path: Path, cache: Path) -> None:
    folder = fake(tmp_path / "tree", "tensorflow/lite/micro/a.cc")
    first, again = (library.find(str(folder), BOARD, {}) for _ in range(2))
    assert first == again
    (folder / "tensorflow/lite/micro/a.cc").write_text("int changed;\n")
    second = library.find(str(folder), BOARD, {})
    assert second.dependencies == first.dependencies  # the objects of all other files are still good
    assert second.version != first.version
    graph = tflite_model.load(MODELS / "digits" / "digits.tflite")
    texts = [
        prepare(graph, engine=TflmEngine(str(folder))).project(None).files["platformio.ini"]
        for folder in (fake_of_digits(tmp_path / "a"), fake_of_digits(tmp_path / "b"))
    ]
    assert all(b"content " in text and b"custom_libc = newlib" in text for text in texts)


def fake_of_digits(folder: Path, graph: Graph | None = None) -> Path:
    graph = graph or tflite_model.load(MODELS / "digits" / "digits.tflite")
    fake(folder)
    resolver = folder / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    resolver.write_text("\n".join(f"TfLiteStatus {ADDERS[op.kind]}() {{}}" for op in graph.ops))
    return folder


def test_a_git_address_is_downloaded_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = fake(tmp_path / "repository", root="src")
    (repository / "library.json").write_text('{"name": "fake", "version": "0.1.0"}')
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "all")):
        subprocess.run(["git", "-C", str(repository), *command], check=True, timeout=60)
    commit = subprocess.check_output(["git", "-C", str(repository), "rev-parse", "HEAD"], text=True).strip()
    address = f"git+file://{repository}#{commit}"
    found = library.find(address, BOARD, {})
    assert f"commit {commit[:12]}" in found.version
    assert str(manifest(found)["srcDir"]).startswith(str(cache))
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: pytest.fail("it was there already"))
    monkeypatch.setattr(library_identity, "_git_commit", lambda folder: commit)
    assert library.find(address, BOARD, {}) == found


RESOLVER = """
  TfLiteStatus AddConv2D(const TFLMRegistration& registration = Register_CONV_2D()) {
    return AddBuiltin(BuiltinOperator_CONV_2D, registration, ParseConv2D);
  }
  TfLiteStatus AddSoftmax(
      const TFLMRegistration& registration = tflite::Register_SOFTMAX()) {}
  TfLiteStatus AddRfft(const TFLMRegistration* registration = tflite::tflm_signal::Register_RFFT()) {}
"""
KERNELS = "tensorflow/lite/micro/kernels"
CMSIS_NN = "third_party/cmsis_nn/Source"
LIBRARY = {
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": RESOLVER,
    f"{KERNELS}/micro_ops.h": '#include "tensorflow/lite/micro/kernels/softmax.h"\n',
    f"{KERNELS}/conv.h": "TFLMRegistration Register_CONV_2D();\nTFLMRegistration Register_CONV_2D_INT8();\n",
    f"{KERNELS}/conv_common.cc": '#include "tensorflow/lite/micro/kernels/kernel_util.h"\n',
    f"{KERNELS}/kernel_util.h": "",
    f"{KERNELS}/kernel_util.cc": "",
    f"{KERNELS}/cmsis_nn/conv.cc": f'#include "{KERNELS}/conv.h"\n#include "{KERNELS}/micro_ops.h"\n'
    "TFLMRegistration Register_CONV_2D() {}\nTFLMRegistration Register_CONV_2D_INT8() { arm_conv(x); }\n",
    f"{KERNELS}/softmax.h": "TFLMRegistration Register_SOFTMAX();\n",
    f"{KERNELS}/softmax.cc": f'#include "{KERNELS}/softmax.h"\nTFLMRegistration Register_SOFTMAX() {{}}\n',
    f"{CMSIS_NN}/arm_conv.c": "int32_t arm_conv(const int8_t *a,\n   int b)\n{\n  arm_mul(a);\n}\n",
    f"{CMSIS_NN}/support/arm_mul.c": "void arm_mul(const int8_t *a) {\n}\n",
    f"{CMSIS_NN}/arm_other.c": "void arm_other(void) {\n}\n",
    "signal/micro/kernels/rfft.cc": "TFLMRegistration* Register_RFFT() {}\n",
    "signal/src/rfft_float.cc": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in LIBRARY.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    return tmp_path / "tree"


def compiled(found: library.Library) -> set[str]:
    return {
        entry[2:-1] for entry in found.sources if entry.startswith("+<") and entry.endswith(("c>", "cpp>"))
    }


def test_what_the_model_needs_is_compiled_and_no_more(tree: Path, cache: Path) -> None:
    found = library.find(str(tree), BOARD, {"AddConv2D": "_INT8"})
    assert compiled(found) == {
        f"{KERNELS}/cmsis_nn/conv.cc",
        f"{KERNELS}/conv_common.cc",
        f"{KERNELS}/kernel_util.cc",
        f"{CMSIS_NN}/arm_conv.c",
        f"{CMSIS_NN}/support/arm_mul.c",
    }
    assert f"-<{KERNELS}/>" in found.sources
    assert compiled(library.find(str(tree), BOARD, {"AddRfft": ""})) == {
        "signal/micro/kernels/rfft.cc",
        "signal/src/rfft_float.cc",
    }


def test_models_share_a_librarys_objects(tree: Path, cache: Path) -> None:
    """PlatformIO knows an object by its place: the folder that stands for the library is the same for all."""
    one = library.find(str(tree), BOARD, {"AddConv2D": ""})
    other = library.find(str(tree), BOARD, {"AddSoftmax": ""})
    assert one.dependencies == other.dependencies and one.sources != other.sources
    assert "srcFilter" not in manifest(one) and manifest(one)["extraScript"] == "library.py"


def test_kernels_that_are_found_nowhere_bring_all_sources(tree: Path, cache: Path) -> None:
    (tree / KERNELS / "softmax.cc").unlink()
    found = library.find(str(tree), BOARD, {"AddSoftmax": ""})
    assert compiled(found) == set() and f"-<{KERNELS}/>" not in found.sources


@pytest.mark.parametrize(
    ("suffix", "call"), [("_INT8", "AddConv2D(tflite::Register_CONV_2D_INT8())"), ("_INT16", "AddConv2D()")]
)
def test_kernels_for_the_models_types_alone_where_the_library_has_them(
    tree: Path, cache: Path, suffix: str, call: str
) -> None:
    assert call in library.find(str(tree), BOARD, {"AddConv2D": suffix}).files["op_resolver.h"]


def test_which_kernels_are_for_the_models_types_alone() -> None:
    def variants(*types: str) -> dict[str, str]:
        builder = ModelBuilder()
        for dtype in types:
            source, result = (builder.tensor((1, 8), dtype, scale=0.5, zero_point=0) for _ in range(2))
            builder.op("RELU", [source], [result])
        blob = builder.build(inputs=[0], outputs=[1])
        return _variants(tflite_model.parse(blob, "made.tflite"))

    assert variants("int8") == {"AddRelu": "_INT8"}
    assert variants("int16") == {"AddRelu": "_INT16"}


def test_versions_name_cmsis_nn(tree: Path, cache: Path) -> None:
    header = tree / "third_party/cmsis_nn/Include/arm_nnfunctions.h"
    header.parent.mkdir()
    header.write_text(" * $Date:        27 March 2026\n * $Revision:    V.19.1.0\n")
    assert library.find(str(tree), BOARD, {}).version.endswith("; CMSIS-NN 19.1.0 (27 March 2026)")


# What can be wrong with them.


@pytest.mark.parametrize("board", ["mps2-an386", "qemu-virt-rv32"])
def test_a_checkout_is_answered_with_the_command_that_makes_a_tree(
    tree: Path, cache: Path, board: str
) -> None:
    script = tree / "tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py"
    script.parent.mkdir(parents=True)
    script.write_text("")
    with pytest.raises(UsageError, match="is a checkout of TFLite Micro") as caught:
        library.find(str(tree), lookup.board(board), {})
    assert f"cd {tree} && python3 tensorflow/lite/micro/tools/" in caught.value.hint
    assert ("OPTIMIZED_KERNEL_DIR=cmsis_nn" in caught.value.hint) == (board == "mps2-an386")


def test_a_folder_that_is_none(cache: Path) -> None:
    with pytest.raises(UsageError, match=r"no such folder: \./nowhere") as caught:
        library.find("./nowhere", BOARD, {})
    assert "--tflm-library" in caught.value.hint and "--engine aot" in caught.value.hint


def test_a_folder_with_something_else(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match="does not hold TFLite Micro"):
        library.find(str(tmp_path), BOARD, {})


def test_a_library_too_old_for_the_model(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ModelError, match=r"TFLite Micro copyright 2024.* lacks AddBatchMatMul, which"):
        library.find(str(fake(tmp_path / "old")), BOARD, {"AddReshape": "", "AddBatchMatMul": ""})


@pytest.mark.parametrize(
    ("kernel", "per_channel", "warned"),
    [
        ("int32_t output_multiplier;", True, True),
        ("int32_t output_multiplier;", False, False),
        ("int32_t* per_channel_output_multiplier;", True, False),
    ],
)
def test_a_library_too_old_for_the_models_weights(
    tmp_path: Path, cache: Path, kernel: str, per_channel: bool, warned: bool
) -> None:
    name = "src/tensorflow/lite/micro/kernels/fully_connected_common.cpp"
    folder = fake(tmp_path / "old", name, root="src")
    (folder / name).write_text(kernel)
    found = library.find(str(folder), BOARD, {}, per_channel=per_channel)
    assert [" takes one scale " in warning for warning in found.warnings] == [True] * warned


@pytest.mark.parametrize(
    ("source", "host"),
    [(None, "github.com"), ("someone/TFLM@^1.0", "api.registry.platformio.org")],
)
def test_offline_it_says_what_was_tried_and_the_ways_on(
    cache: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, host: str
) -> None:
    def unreachable(address: tuple[str, int], timeout: float) -> socket.socket:
        raise OSError(None, f"no way to {address[0]}")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: pytest.fail("PlatformIO was started"))
    with pytest.raises(ToolError) as caught:
        library.find(source, BOARD, {})
    assert f"from {source or library.default_source(BOARD)}: {host}: no way to" in caught.value.message
    assert words.TFLM_VARIABLE in caught.value.hint and "--engine aot" in caught.value.hint


def test_the_variable_names_the_library_and_an_argument_beats_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = fake(tmp_path / "one"), fake(tmp_path / "other")
    monkeypatch.setenv(words.TFLM_VARIABLE, str(one))
    assert manifest(library.find(None, BOARD, {}))["srcDir"] == str(one)
    assert manifest(library.find(str(other), BOARD, {}))["srcDir"] == str(other)


def test_without_a_cxx_library_the_build_does_not_start(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "has_cxx_library", lambda toolchain: False)
    with pytest.raises(ToolError, match=r"arm-none-eabi-g\+\+ has no C\+\+ standard library") as caught:
        verbs.build(MODELS / "digits", engine=TflmEngine(str(fake_of_digits(tmp_path / "tree"))))
    assert "libstdc++-arm-none-eabi-newlib" in caught.value.hint


# The whole way, with a real library.


def code(archive: str, function: str) -> bytes:
    """The machine code of a function of the C library."""
    symbols = subprocess.check_output(
        ["arm-none-eabi-nm", "-A", "--defined-only", archive],
        text=True,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    (member,) = re.findall(rf":([\w.-]+):\S+ [TW] {function}$", symbols, re.M)
    with tempfile.NamedTemporaryFile() as unpacked:
        unpacked.write(subprocess.check_output(["arm-none-eabi-ar", "p", archive, member], timeout=60))
        unpacked.flush()
        elf = ELFFile(unpacked)
        return b"".join(s.data() for s in elf.iter_sections() if s.name.startswith(".text"))


@pytest.mark.skipif(not tools.has_cxx_library(M4F.toolchain), reason="libstdc++ for Arm is not installed")
@pytest.mark.parametrize(
    "board", ["mps2-an386", "mps2-an385", "mps2-an500", "mps2-an505", "mps3-an547", "qemu-cortex-m0plus"]
)
def test_the_small_newlib_moves_memory_as_the_large_one(board: str) -> None:
    """So TFLite Micro loses nothing by nano.specs, beside a firmware that is linked with the whole newlib."""
    core = lookup.board(board).core
    archives = [
        subprocess.check_output(
            [f"{core.toolchain}gcc", *core.flags, f"-print-file-name={name}"], text=True, timeout=60
        ).strip()
        for name in ("libc.a", "libc_nano.a")
    ]
    for function in ("memcpy", "memset", "memmove"):
        large, small = (code(archive, function) for archive in archives)
        assert large == small and len(large) > 100, function


@needs_tflm
def test_every_op_that_the_library_registers_has_a_row() -> None:
    known = source_selection.registrations(Path(TFLM))
    builtin = {name for name in dir(tflite.BuiltinOperator) if name.isupper()}
    registered = {name.removeprefix("Register_") for name in known.by_adder.values()} & builtin
    assert len(registered) > 80
    assert registered <= set(CATALOGUE)


@needs_tflm
def test_the_library_has_every_op_of_the_table() -> None:
    """A library older than this project may lack some: then the table is ahead of it, which is no mistake."""
    missing = []
    for adder in ADDERS.values():
        try:
            library.find(TFLM, BOARD, {adder: ""})
        except ModelError:
            missing.append(adder)
    assert len(missing) < len(ADDERS) // 4, missing


@needs_tflm
def test_mnist_on_tflite_micro(tmp_path: Path) -> None:
    result, _ = verbs.run(MODELS / "mnist", engine="tflm", samples=8, out=tmp_path)
    jsonschema.validate(result.to_json(), schema())
    assert result.parity is not None and result.parity.identical == result.parity.outputs
    assert result.library is not None
    assert set(result.library.kernels) == {op.op for op in result.model.ops}
    assert result.arena.method == "searched"
    assert result.arena.fails_at == result.arena.bytes - 16
    assert [cost.index for cost in result.per_op] == [op.index for op in result.model.ops]
    per_op = sum(cost.instructions for cost in result.per_op)
    assert 0.95 * result.instructions.median < per_op <= result.instructions.median
    slow = any(result.library.kernels[op] == "reference" for op in ("CONV_2D", "FULLY_CONNECTED"))
    assert any("reference kernels" in warning for warning in result.warnings) == slow


@needs_tflm
def test_an_lstm_starts_clean_each_time(tmp_path: Path) -> None:
    model = MODELS / "motion" / "motion_lstm.tflite"
    result, _ = verbs.run(model, engine="tflm", samples=4, out=tmp_path)
    assert result.parity is not None and result.parity.identical == result.parity.outputs


@needs_tflm
def test_both_engines_side_by_side(tmp_path: Path) -> None:
    results, folder = verbs.run_each(MODELS / "digits", ["aot", "tflm"], samples=4, out=tmp_path / "out")
    assert [result.engine for result in results] == ["aot", "tflm"]
    for engine in ("aot", "tflm"):
        assert json.loads((folder / engine / "result.json").read_text())["engine"] == engine
    written = json.loads((folder / "runs.json").read_text())
    assert [run["engine"] for run in written["runs"]] == ["aot", "tflm"]


@needs_tflm
@pytest.mark.skipif(not MLPERF_TINY.is_dir(), reason=f"{MLPERF_TINY} is not there")
@pytest.mark.parametrize("name", ["kws", "ad"])
def test_mlperf_tinys_arenas_are_proven(name: str) -> None:
    """Whatever the library, its arena is a boundary; of AD arena_used_bytes() is known to be too small."""
    arena = verbs.arena(MLPERF_TINY / f"{name}.tflite", engine="tflm").arena
    assert arena.passes_at == arena.bytes and arena.fails_at == arena.bytes - 16
