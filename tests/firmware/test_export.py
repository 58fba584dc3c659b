"""An exported library: its headers in every compiler, its outputs, its statuses, its names, its folder."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import native
import numpy as np
import pytest
import random_graphs
from model_builder import ModelBuilder
from nightly import turn

from tinydeploy import verbs
from tinydeploy.boards.core import CORES
from tinydeploy.engines.aot import model_source
from tinydeploy.engines.aot.identifiers import (
    check_apart,
    checked_name,
    comment,
    literal,
    model_name,
    tensor_names,
)
from tinydeploy.engines.aot.memory import allocator
from tinydeploy.errors import ModelError, UsageError
from tinydeploy.model import affine
from tinydeploy.model.readers import tflite_model

ROOT = Path(__file__).resolve().parents[2]
MOTION = ROOT / "models" / "motion"
MODELS = (str(MOTION), f"lstm={MOTION / 'motion_lstm.tflite'}")
CHECKS = ROOT / "tests" / "support" / "export" / "check.c"
HEADER_FLAGS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Werror",
    "-fsyntax-only",
    "-ffreestanding",
]
SOURCE_FLAGS = ["-O1", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti"]


def tool(*command: object, cwd: Path | None = None) -> str:
    """What the command says; AssertionError with what it complains of."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exported(folder: Path, models: object = MODELS, **options: object) -> Path:
    return verbs.export(models, folder, **{"core": "cortex-m4f", **options})  # type: ignore[arg-type]


def many_outputs() -> bytes:
    """A model with two inputs of names that are no identifiers, and twelve outputs, some of one name."""
    model = ModelBuilder()
    x = model.tensor((1, 8), scale=0.1, name='serving_default_x"1:0')
    y = model.tensor((1, 8), scale=0.1, name="größe */ ??/")
    outputs = []
    for number in range(12):
        outputs.append(model.tensor((1, 8), scale=0.1 + number, name=f"out {number // 2}"))
        model.op("ADD", [x, y], [outputs[-1]])
    return model.build([x, y], outputs)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("export") / "library", portable=True, core=None)


def sources(library: Path) -> list[Path]:
    return sorted(library.glob("src/*.cpp"))


def compiled(
    library: Path, folder: Path, flags: list[str], standard: str = "c++11", compiler: str = "g++"
) -> list[Path]:
    """The library's objects."""
    folder.mkdir(exist_ok=True)
    for source in sources(library):
        tool(
            compiler,
            f"-std={standard}",
            *SOURCE_FLAGS,
            *flags,
            "-c",
            source,
            "-o",
            folder / f"{source.stem}.o",
        )
    return sorted(folder.glob("*.o"))


COMPILERS = ("", "arm-none-eabi-", "riscv64-unknown-elf-", "avr-", "xtensa-lx106-elf-")


@pytest.mark.parametrize("prefix", COMPILERS, ids=lambda prefix: prefix or "host")
def test_headers_compile_as_c99_and_cpp11_without_a_warning(
    library: Path, tmp_path: Path, prefix: str
) -> None:
    if shutil.which(f"{prefix}gcc") is None:
        pytest.skip(f"not run: no {prefix}gcc")
    (tmp_path / "many.tflite").write_bytes(many_outputs())
    folders = [library, exported(tmp_path / "many", tmp_path / "many.tflite")]
    flags = ["-mmcu=atmega2560"] if prefix == "avr-" else []
    text = "".join(
        f'#include "{path.name}"\n#include "{path.name}"\n'
        for each in folders
        for path in each.glob("include/*.h")
    )
    for name, language in (("all.c", "c99"), ("all.cpp", "c++11")):
        (tmp_path / name).write_text(f"{text}int main(void) {{ return MOTION_OK; }}\n")
        program = f"{prefix}g++" if name.endswith("pp") else f"{prefix}gcc"
        tool(
            program,
            f"-std={language}",
            *HEADER_FLAGS,
            *flags,
            *(f"-I{each}/include" for each in folders),
            tmp_path / name,
        )


def test_two_models_and_two_instances_of_each_under_the_sanitizers(library: Path, tmp_path: Path) -> None:
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    objects = compiled(library, tmp_path / "objects", sanitizers)
    tool(
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        *sanitizers,
        f"-I{library}/include",
        "-c",
        CHECKS,
        "-o",
        tmp_path / "check.o",
    )
    tool("g++", *sanitizers, tmp_path / "check.o", *objects, "-o", tmp_path / "check")
    assert tool(tmp_path / "check") == "all checks passed\n"


def test_nothing_that_is_written_is_shared_and_all_names_are_the_models(
    library: Path, tmp_path: Path
) -> None:
    objects = compiled(library, tmp_path / "objects", ["-fno-pie"])
    symbols = [
        line.split() for line in tool("nm", "-C", *objects).splitlines() if re.match(r"[0-9a-f]+ ", line)
    ]
    assert [name for _, kind, *name in symbols if kind in "bBdDC"] == []
    named = {" ".join(name) for _, kind, *name in symbols if kind in "TRVWu"}
    assert named
    ours = r"(?:motion|lstm)_\w+$|tinydeploy_(?:motion|lstm)::|.*\btinydeploy::kernels_[0-9a-f]{8}::"
    ours += r"|tinydeploy_yield$"
    assert [name for name in sorted(named) if not re.match(ours, name)] == []


def test_the_measuring_firmware_has_the_very_files(tmp_path: Path) -> None:
    """Whatever a run proves, it proves of these."""
    model, board = MOTION / "motion_lstm.tflite", "nucleo_f446re"
    made = verbs.generate(model, tmp_path / "project", board=board) / "src" / "model"
    library = verbs.export(model, tmp_path / "library", board=board, samples=1)
    measured = {path.relative_to(made): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    names = {path.name for path in measured}
    assert {"motion_lstm.h", "motion_lstm.hpp", "motion_lstm.cpp", "motion_lstm_data.cpp", "lstm.h"} <= names
    assert measured == {path: (library / path).read_bytes() for path in measured}
    others = {path.name for path in library.glob("*/**/*") if path.is_file()} - names
    assert {name for name in others if name.startswith("motion_lstm")} == {
        "motion_lstm_labels.cpp",
        "motion_lstm_self_test.cpp",
    }


def test_all_sources_may_be_one(library: Path, tmp_path: Path) -> None:
    """As unity builds have them."""
    text = "".join(f'#include "{source}"\n' for source in sources(library))
    (tmp_path / "all.cpp").write_text(text)
    tool("g++", "-std=c++11", *SOURCE_FLAGS, "-fsyntax-only", tmp_path / "all.cpp")


def test_two_versions_of_tinydeploy_link_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = exported(tmp_path / "one", MODELS[0], portable=True, core=None)
    monkeypatch.setattr(model_source, "_version", lambda: "kernels_other")
    other = exported(tmp_path / "other", MODELS[1], portable=True, core=None)
    for header in other.glob("src/kernels/requantize.h"):
        text = header.read_text()
        header.write_text(text.replace("return a < b ? a : b;", "return b < a ? b : a;"))
        assert text != header.read_text()
    objects = [*compiled(one, tmp_path / "1", ["-O0"]), *compiled(other, tmp_path / "2", ["-O0"])]
    includes = [f"-I{folder}/include" for folder in (one, other)]
    tool("gcc", "-std=c99", *includes, CHECKS, "-c", "-o", tmp_path / "check.o")
    tool("g++", tmp_path / "check.o", *objects, "-o", tmp_path / "check")
    assert tool(tmp_path / "check") == "all checks passed\n"


@pytest.mark.parametrize(
    ("core", "goal"),
    turn(
        [("avr", "ram"), ("cortex-m4f", "ram"), ("cortex-m3", "size"), ("cortex-m55", "speed")],
        ("avr", "ram"),
    ),
)
def test_random_graphs_pass_their_self_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, core: str, goal: str
) -> None:
    """Graphs of every kind of op, with inputs and outputs of all types and numbers, as one library."""
    monkeypatch.setattr(allocator, "PLACEMENTS", 2000)  # arenas need not be the best
    for seed in range(5 * native.FACTOR):
        (tmp_path / f"g{seed}.tflite").write_bytes(random_graphs.make(90_000 + seed))
    models = sorted(tmp_path.glob("*.tflite"))
    folder = exported(tmp_path / "out", models, core=core, optimize=goal, samples=2)
    names = [path.stem for path in models]
    text = "".join(f'#include "{name}.h"\n' for name in names) + "int main(void) {\n  int failed = 0;\n"
    for name in names:
        text += (
            f"  {{ static uint8_t arena[{name.upper()}_ARENA_BYTES] {name.upper()}_ALIGNED; {name}_model m;\n"
            f"    failed |= {name}_init(&m, arena, sizeof arena) || {name}_self_test(&m); }}\n"
        )
    (tmp_path / "main.c").write_text(text + "  return failed;\n}\n")
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if native.NIGHTLY else []
    flags = [flag for flag in HEADER_FLAGS if flag not in ("-fsyntax-only", "-ffreestanding")]
    objects = compiled(
        folder, tmp_path / "objects", ["-O0", *sanitizers], "c++11" if core == "avr" else "c++17"
    )
    tool(
        "gcc",
        "-std=c99",
        *flags,
        *sanitizers,
        f"-I{folder}/include",
        "-c",
        tmp_path / "main.c",
        "-o",
        tmp_path / "main.o",
    )
    tool("g++", *sanitizers, tmp_path / "main.o", *objects, "-o", tmp_path / "main")
    tool(tmp_path / "main")


@pytest.fixture(scope="module")
def objects(library: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The library's, for this machine."""
    return compiled(library, tmp_path_factory.mktemp("objects"), ["-fPIC"])


@pytest.fixture(scope="module")
def shared(objects: list[Path], tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("shared") / "libmotion.so"
    tool("g++", "-shared", *objects, "-o", path)
    return ctypes.CDLL(str(path))


def test_real_values_are_quantised_as_the_reference_does(shared: ctypes.CDLL) -> None:
    graph = tflite_model.load(MOTION / "motion.tflite")
    tensor, result = (graph.tensors[index] for index in (graph.inputs[0], graph.outputs[0]))
    assert tensor.quantization is not None
    arena = np.zeros(4096, np.uint8)
    aligned = ctypes.c_void_p(-(-arena.ctypes.data // 16) * 16)
    model = (ctypes.c_void_p * 8)()
    assert shared.motion_init(model, aligned, 4000) == 0
    shared.motion_input.restype = shared.motion_output.restype = ctypes.POINTER(ctypes.c_int8)
    shared.motion_dequantize_output.restype = ctypes.c_float
    steps = (np.arange(-150, 150) / 2).astype(np.float32) * np.float32(tensor.quantization.scale)
    random = np.random.default_rng(0).normal(0, 20, tensor.elements).astype(np.float32)
    extremes = np.resize(np.float32([np.inf, -np.inf, 3e38, -3e38, 0, -0.0, 1e-30]), tensor.elements)
    for values in (np.resize(steps, tensor.elements), random, extremes):
        values = np.ascontiguousarray(values, np.float32)
        assert shared.motion_quantize_input(model, values.ctypes.data_as(ctypes.c_void_p)) == 0
        expected = affine.quantize(np.clip(values, -1e6, 1e6), tensor)[0]
        assert np.array_equal(np.ctypeslib.as_array(shared.motion_input(model), (tensor.elements,)), expected)
    nothing = np.full(tensor.elements, np.nan, np.float32)
    assert shared.motion_quantize_input(model, nothing.ctypes.data_as(ctypes.c_void_p)) == 0
    assert set(np.ctypeslib.as_array(shared.motion_input(model), (tensor.elements,))) == {
        tensor.quantization.zero_point
    }
    assert shared.motion_run(model) == 0
    codes = np.ctypeslib.as_array(shared.motion_output(model), (4,)).copy()
    real = [shared.motion_dequantize_output(model, i) for i in range(4)]
    assert np.array_equal(np.float32(real), affine.dequantize(codes, result))
    assert shared.motion_top(model) == int(np.argmax(codes))
    assert shared.motion_dequantize_output(model, 4) == 0


def test_many_inputs_and_outputs_have_names(tmp_path: Path) -> None:
    (tmp_path / "1st größe.tflite").write_bytes(many_outputs())
    folder = exported(
        tmp_path / "out", tmp_path / "1st größe.tflite", forms=("c",), portable=True, core=None, samples=2
    )
    (header,) = folder.glob("include/*.h")
    assert header.name == "model_1st_gr_e.h"
    text = header.read_text()
    assert text.isascii() and "model_1st_gr_e_input_x_1(" in text and "model_1st_gr_e_input_gr_e(" in text
    # Outputs of equal names are told apart by their numbers.
    assert re.findall(r"int8_t \*model_1st_gr_e_output_(\d+)\(", text) == [
        str(number) for number in range(12)
    ]
    tool("make", "check", cwd=folder)


def test_labels_are_strings_in_c_whatever_they_hold(tmp_path: Path) -> None:
    labels = ['a "quoted" \\ one', "größe", "??/", "%s"]
    folder = exported(tmp_path / "out", MODELS[0], labels=labels, portable=True, core=None)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "motion.h"\n'
        "int main(void) { for (int i = 0; motion_label(i); ++i) puts(motion_label(i)); return 0; }\n"
    )
    objects = compiled(folder, tmp_path / "objects", ["-trigraphs", "-O0"])
    tool("gcc", "-std=c99", f"-I{folder}/include", "-c", tmp_path / "main.c", "-o", tmp_path / "main.o")
    tool("g++", tmp_path / "main.o", *objects, "-o", tmp_path / "main")
    assert tool(tmp_path / "main").splitlines() == labels


def test_the_class_of_cpp17(library: Path, objects: list[Path], tmp_path: Path) -> None:
    (tmp_path / "main.cpp").write_text(
        '#include "motion.hpp"\n#include "lstm.hpp"\n'
        "static motion::Model model;\nstatic lstm::Model other;\n"
        "int main() {\n"
        "  for (int8_t& value : model.input()) value = 1;\n"
        "  if (model.run() != MOTION_OK || other.run() != LSTM_OK || model.output().size() != 4) return 1;\n"
        "  return model.self_test() + other.self_test() + (motion::label(model.top()) == nullptr);\n}\n"
    )
    flags = [flag for flag in HEADER_FLAGS if flag not in ("-fsyntax-only", "-ffreestanding")]
    tool(
        "g++",
        "-std=c++17",
        *flags,
        f"-I{library}/include",
        tmp_path / "main.cpp",
        *objects,
        "-o",
        tmp_path / "main",
    )
    tool(tmp_path / "main")


def test_a_self_test_says_which_sample_fails_and_may_be_left_out(library: Path, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        '#include "motion.h"\nstatic uint8_t arena[MOTION_ARENA_BYTES] MOTION_ALIGNED;\n'
        "int main(void) {\n  motion_model m;\n  motion_init(&m, arena, sizeof arena);\n"
        "  return motion_self_test(&m);\n}\n"
    )
    copy = Path(shutil.copytree(library, tmp_path / "copy"))
    test = copy / "src" / "motion_self_test.cpp"
    text = test.read_text()
    begin = text.index("kExpected[] = {") + 15
    numbers = text[begin : text.index("}", begin)].split(",")
    numbers[2 * 4] = f" {(int(numbers[2 * 4]) + 1) % 256}"  # of the third sample
    test.write_text(text[:begin] + ",".join(numbers) + text[text.index("}", begin) :])
    for flags, code in ((["-O0"], 66), (["-O0", "-DTINYDEPLOY_NO_SELF_TEST"], 4)):
        objects = compiled(copy, tmp_path / f"objects{code}", flags)
        tool("gcc", "-std=c99", f"-I{copy}/include", "-c", tmp_path / "main.c", "-o", tmp_path / "main.o")
        tool("g++", tmp_path / "main.o", *objects, "-o", tmp_path / "main")
        assert subprocess.run([tmp_path / "main"]).returncode == code


def test_constants_go_where_the_macro_says(library: Path, tmp_path: Path) -> None:
    section = '-DTINYDEPLOY_SECTION=__attribute__((section(".extflash")))'
    tool("g++", "-std=c++11", section, "-c", library / "src/motion_data.cpp", "-o", tmp_path / "data.o")
    assert ".extflash" in tool("readelf", "-SW", tmp_path / "data.o")


@pytest.mark.parametrize("core", turn(["cortex-m0plus", "cortex-m4f", "cortex-m55", "rv32imc"], "cortex-m55"))
def test_sources_of_a_core_compile_without_a_warning(tmp_path: Path, core: str) -> None:
    chosen = CORES[core]
    if shutil.which(f"{chosen.toolchain}g++") is None:
        pytest.skip(f"not run: no {chosen.toolchain}g++")
    folder = exported(tmp_path / "out", core=core)
    compiled(
        folder,
        tmp_path / "objects",
        ["-O2", "-ffreestanding", *chosen.flags],
        "c++17",
        f"{chosen.toolchain}g++",
    )


# Names


def test_names_of_models() -> None:
    assert [
        model_name(stem)
        for stem in ("kws", "my-model v2", "2fast", "größe", "---", "string", "Class", "x" * 99)
    ] == [*("kws", "my_model_v2", "model_2fast", "gr_e", "model", "string_model", "Class_model", "x" * 48)]
    for wrong in (
        "2fast",
        "a-b",
        "",
        "a__b",
        "größe",
        "int",
        "main",
        "_x",
        "a b",
        "NULL",
        "linux",
        "INT8_MAX",
        "printf",
        "log",
        "uint8_t",
    ):
        with pytest.raises(UsageError):
            checked_name(wrong)
    for pair in (("kws", "KWS"), ("a", "a"), ("a", "a_input"), ("a_run_2", "a")):
        with pytest.raises(UsageError):
            check_apart(pair)
    check_apart(("a", "b", "a_small"))


def test_usual_names_of_models_make_no_trouble(tmp_path: Path) -> None:
    """Files that people have: their functions stand beside those of each other, and of the C library."""
    names = ["model", "test", "f", "status", "c", "Classifier"]
    (tmp_path / "models").mkdir()
    model = ModelBuilder()
    x, y = model.tensor((1, 8), scale=0.1), model.tensor((1, 8), scale=0.1)
    model.op("ADD", [x, x], [y])
    for name in names:
        (tmp_path / "models" / f"{name}.tflite").write_bytes(model.build([x], [y]))
    models = sorted((tmp_path / "models").iterdir())
    folder = exported(tmp_path / "out", models, portable=True, core=None, forms=("c", "cmake"), samples=1)
    includes = "".join(f'#include "{path.name}"\n' for path in sorted(folder.glob("include/*.hpp")))
    (tmp_path / "all.cpp").write_text(
        f"#include <unistd.h>\n#include <string>\n{includes}int main() {{ return 0; }}\n"
    )
    tool("g++", "-std=c++17", *HEADER_FLAGS, f"-I{folder}/include", tmp_path / "all.cpp")
    tool("make", "check", "CXXFLAGS=-O0 -Wall -Wextra -Werror", "-j2", cwd=folder)


def test_names_of_tensors() -> None:
    assert tensor_names(["anything"]) == ("",)
    assert tensor_names(["serving_default_image:0", "StatefulPartitionedCall:1"]) == ("0", "1")
    assert tensor_names(["serving_default_image:0", "b/c"]) == ("image", "b_c")
    assert tensor_names(["A", "a"]) == ("0", "1")


def test_text_stays_in_its_place() -> None:
    assert literal('a"b\\c?é\n') == '"a\\"b\\\\c\\?\\303\\251\\012"'
    assert comment("a */ b /* c \n ??/ \\") == "a * / b / * c ? ? ?/"


# What is refused


def test_models_of_one_name_are_refused_and_may_be_renamed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two models are called motion"):
        exported(tmp_path / "out", (str(MOTION), str(MOTION)))
    with pytest.raises(UsageError, match="no name for a model in C"):
        exported(tmp_path / "out", (f"2nd={MOTION}",))
    assert not (tmp_path / "out").exists()
    exported(tmp_path / "out", (str(MOTION), f"second={MOTION}"))
    assert {path.name for path in (tmp_path / "out/include").glob("*.h")} == {"motion.h", "second.h"}


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"it holds thesis\.tex"):
        exported(tmp_path, MODELS[0])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    folder = exported(tmp_path / "out", MODELS[0])
    assert exported(folder, MODELS[1]) == folder
    assert not (folder / "include/motion.h").exists()
    (folder / "include/lstm.h").write_text("mine")
    with pytest.raises(UsageError, match=r"work of yours: include/lstm\.h"):
        exported(folder, MODELS[0])
    assert (folder / "include/lstm.h").read_text() == "mine"


def test_what_cannot_be_exported_is_one_line(tmp_path: Path) -> None:
    for options, words in (
        ({"forms": ("zip",)}, "there is no form 'zip'"),
        ({"forms": ()}, "no form was asked for"),
        ({"core": "z80"}, "there is no core 'z80'"),
        ({"board": "mps2-an385"}, "--board and --core exclude each other"),
        ({"samples": 64}, "samples is 64, and must be above zero, and at most 63"),
        ({"portable": True}, "--core and --portable exclude each other"),
    ):
        with pytest.raises(UsageError, match=words):
            exported(tmp_path / "out", MODELS[0], **options)
    model = ModelBuilder()
    x, y = model.tensor((1, 4)), model.tensor((1, 4))
    model.op("ELU", [x], [y])
    with pytest.raises(ModelError):
        verbs.export(model.build([x], [y]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
