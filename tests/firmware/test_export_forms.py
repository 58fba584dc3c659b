"""Each form of an exported library, by the build system that it is for, where that is here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import increment
import numpy as np
import pytest
from model_builder import ModelBuilder
from platformio.package.manifest.parser import ManifestParserFactory
from platformio.package.manifest.schema import ManifestSchema

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.firmware import project
from tinydeploy.host import platformio
from tinydeploy.words import FORMS

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support" / "export"
MOTION = ROOT / "models" / "motion"
MODELS = (str(MOTION), f"lstm={MOTION / 'motion_lstm.tflite'}")


def tool(*command: object, cwd: Path | None = None) -> str:
    """What the command says; AssertionError with what it complains of."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In every form, for a Cortex-M4F."""
    return verbs.export(MODELS, tmp_path_factory.mktemp("forms") / "library", forms=FORMS, core="cortex-m4f")


def application(folder: Path) -> Path:
    folder.mkdir()
    for name in ("CMakeLists.txt", "check.c"):
        shutil.copy(SUPPORT / name, folder)
    return folder


def cmake(source: Path, build: Path, *options: str) -> str:
    """Configures and builds without a warning, and runs the tests."""
    said = tool("cmake", "-S", source, "-B", build, "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON", *options)
    said += tool("cmake", "--build", build, "--", "-j2")
    assert "warning" not in said.lower()
    return tool("ctest", "--test-dir", build, "-V")


def test_cmake_finds_the_package_once_it_is_installed(library: Path, tmp_path: Path) -> None:
    cmake(
        library, tmp_path / "build", f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'prefix'}", "-DBUILD_SHARED_LIBS=ON"
    )
    said = tool("python3", library / "examples/host/model.py", tmp_path / "build" / "libmotion.so")
    assert "self-test: passed" in said and "standing" in said
    tool("cmake", "--install", tmp_path / "build")
    said = cmake(
        application(tmp_path / "app"),
        tmp_path / "app" / "build",
        f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}",
    )
    assert "all checks passed" in said


def test_cmake_builds_for_a_cortex_m4f_and_qemu_runs_the_same_checks(library: Path, tmp_path: Path) -> None:
    toolchain = ("--toolchain", str(library / "cmake" / "toolchain.cmake"))
    said = cmake(application(tmp_path / "app"), tmp_path / "build", *toolchain, f"-DLIBRARY={library}")
    assert "all checks passed" in said
    assert "self-test: passed" in cmake(library, tmp_path / "example", *toolchain)


MAIN = """
#include "runtime/port/link.h"
#include "lstm.h"
#include "motion.h"

static uint8_t arenas[2][LSTM_ARENA_BYTES] LSTM_ALIGNED;
static lstm_model lstm;
static motion_model motion;

static void say(const char* text) {
  size_t length = 0;
  while (text[length] != 0) ++length;
  tinydeploy::link::write(reinterpret_cast<const uint8_t*>(text), length);
}

int main() {
  tinydeploy::link::open();
  const bool built = lstm_init(&lstm, arenas[0], sizeof(arenas[0])) == LSTM_OK &&
                     motion_init(&motion, arenas[1], sizeof(arenas[1])) == MOTION_OK;
  const bool passed = built && lstm_self_test(&lstm) == LSTM_OK && motion_self_test(&motion) == MOTION_OK;
  say(passed ? "self-tests passed\\n" : "self-tests failed\\n");
  for (uint8_t byte;;) tinydeploy::link::read(&byte, 1);
}
"""


def with_library(folder: Path, library: Path, board: str, link: str, sources: dict[str, str]) -> Path:
    """A PlatformIO project of somebody's own, for a board that needs no download; built. The ELF file."""
    made = increment.make(board, link=link)
    kept = {path: text for path, text in made.files.items() if path != "src/runtime/main.cpp"}
    if lookup.board(board).arduino:
        kept = {path: text for path, text in kept.items() if not path.startswith("src/")}
    kept["platformio.ini"] += f"lib_deps = symlink://{library}\n".encode()
    folder.mkdir()
    project.write_files(
        project.Project({**kept, **{path: text.encode() for path, text in sources.items()}}, board, ""),
        folder,
    )
    status = platformio.run_platformio(folder, folder / "log", 300)
    log = (folder / "log").read_text()
    assert (
        status == 0
        and "warning" not in log.lower()
        and "Installing" not in log.replace("Installing symlink", "")
    ), log
    return folder / ".pio" / "build" / lookup.board(board).platformio / "firmware.elf"


def test_platformio_builds_with_the_library_by_symlink_and_qemu_runs_it(
    library: Path, tmp_path: Path
) -> None:
    elf = with_library(tmp_path / "app", library, "mps2-an386", "pipe", {"src/main.cpp": MAIN})
    qemu = ["qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-serial", "none", "-monitor", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    done = subprocess.run([*qemu, *semihosting], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.stdout == b"self-tests passed\n"


def small(folder: Path) -> Path:
    """A model of a few hundred bytes."""
    random = np.random.default_rng(0)
    model = ModelBuilder()
    x, y = (model.tensor((1, size), scale=0.05) for size in (12, 4))
    z = model.tensor((1, 4), scale=1 / 256, zero_point=-128)
    w = model.tensor((4, 12), scale=0.02, data=random.integers(-127, 128, (4, 12)))
    model.op("FULLY_CONNECTED", [x, w], [y])
    model.op("LOGISTIC", [y], [z])
    path = folder / "tiny.tflite"
    path.write_bytes(model.build([x], [z]))
    return path


def test_the_arduino_example_runs_on_an_emulated_mega(tmp_path: Path) -> None:
    if shutil.which("qemu-system-avr") is None:
        pytest.skip("not run: no qemu-system-avr")
    library = verbs.export(small(tmp_path), tmp_path / "tiny", forms=("arduino",), portable=True)
    example = library / "examples" / "tiny_classify"
    sources = {f"src/{path.name}": path.read_text() for path in example.iterdir()}
    elf = with_library(tmp_path / "app", library, "megaatmega2560", "uart", sources)
    command = [
        "qemu-system-avr",
        "-M",
        "mega2560",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-monitor",
        "none",
    ]
    with subprocess.Popen(
        [*command, "-bios", elf], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as qemu:
        assert qemu.stdout is not None
        try:
            assert qemu.stdout.readline() == "self-test passed\n"
        finally:
            qemu.kill()


# What each specification asks for


def test_the_arduino_library_is_laid_out_as_its_specification_says(library: Path) -> None:
    """https://arduino.github.io/arduino-cli/latest/library-specification/"""
    lines = dict(line.split("=", 1) for line in (library / "library.properties").read_text().splitlines())
    needed = {
        "name",
        "version",
        "author",
        "maintainer",
        "sentence",
        "paragraph",
        "category",
        "url",
        "architectures",
    }
    assert needed <= set(lines) and all(lines[key] for key in needed)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_ .-]{0,62}", lines["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", lines["version"])
    assert lines["category"] in ("Data Processing", "Sensors", "Signal Input/Output", "Other")
    for header in lines["includes"].split(","):  # found where alone Arduino looks
        assert (library / "src" / header).is_file()
    for example in (library / "examples").glob("*/*.ino"):
        assert example.stem == example.parent.name
    assert not (library / "utility").exists()


def test_platformio_reads_both_manifests(library: Path) -> None:
    for manifest in ("library.json", "library.properties"):
        read = ManifestParserFactory.new_from_file(str(library / manifest)).as_dict()
        assert read["name"] == "motion"
        if manifest == "library.json":
            assert read.pop("license") == "Apache-2.0"  # which is looked up in the network's list
        assert ManifestSchema().load_manifest(read)["version"]
    build = json.loads((library / "library.json").read_text())["build"]
    assert (library / build["srcDir"]).is_dir() and (library / build["includeDir"]).is_dir()


def test_the_zephyr_module_names_what_is_there(library: Path) -> None:
    """https://docs.zephyrproject.org/latest/develop/modules.html"""
    module = (library / "zephyr" / "module.yml").read_text()
    assert module.startswith("name: motion\nbuild:\n")
    cmake_folder, kconfig = re.findall(r"^  (?:cmake|kconfig): (\S+)$", module, re.MULTILINE)
    assert (library / cmake_folder / "CMakeLists.txt").is_file() and (library / kconfig).is_file()
    lists = (library / cmake_folder / "CMakeLists.txt").read_text()
    listed = re.findall(r"^    (\.\./src/\S+)$", lists, re.MULTILINE)
    assert {(library / "zephyr" / path).resolve() for path in listed} == {
        *library.resolve().glob("src/*.cpp")
    }
    symbols = set(re.findall(r"^config (\w+)$", (library / kconfig).read_text(), re.MULTILINE))
    assert {f"CONFIG_{symbol}" for symbol in symbols} >= set(re.findall(r"CONFIG_TINYDEPLOY_\w+", lists))
    assert "CONFIG_TINYDEPLOY_MOTION=y" in (library / "examples/zephyr/prj.conf").read_text()


def test_the_esp_idf_component_registers_all_sources(library: Path) -> None:
    lists = (library / "CMakeLists.txt").read_text()
    (registered,) = re.findall(r"idf_component_register\(SRCS (.+) INCLUDE_DIRS include\)", lists)
    assert {library / path for path in registered.split()} == {*library.glob("src/*.cpp")}
    assert lists.index("idf_component_register") < lists.index("project(")
    manifest = (library / "idf_component.yml").read_text()
    assert re.search(r'^version: "\d+\.\d+\.\d+"$', manifest, re.MULTILINE) and 'idf: ">=5.0"' in manifest


PSRAM_KEYS = {
    *(
        "SPIRAM",
        "SPIRAM_ALLOW_BSS_SEG_EXTERNAL_MEMORY",
    ),  # components/esp_psram/Kconfig.spiram.common of ESP-IDF
    *("SPIRAM_MODE_OCT", "SPIRAM_SPEED_80M", "SPIRAM_RODATA"),  # components/esp_psram/esp32s3/Kconfig.spiram
}


def test_the_esp_idf_example_has_known_keys_for_psram(library: Path) -> None:
    lines = (library / "examples" / "esp-idf" / "sdkconfig.psram").read_text().splitlines()
    assert all(line.startswith("#") or re.fullmatch(r"CONFIG_[A-Z0-9_]+=y", line) for line in lines)
    assert set(re.findall(r"\bCONFIG_(\w+)", "\n".join(lines))) == PSRAM_KEYS
    assert "EXT_RAM_BSS_ATTR" in (library / "examples" / "esp-idf" / "main" / "main.c").read_text()
    main = (library / "examples" / "esp-idf" / "main" / "CMakeLists.txt").read_text()
    (registered,) = re.findall(r"idf_component_register\(SRCS (\S+) INCLUDE_DIRS \. PRIV_REQUIRES", main)
    assert (library / "examples" / "esp-idf" / "main" / registered).is_file()


STUBS = {
    "esp-idf/main": {
        "esp_attr.h": "#define EXT_RAM_BSS_ATTR\n",
        "esp_log.h": "void say(const char *, const char *, ...);\n"
        "#define ESP_LOGI say\n#define ESP_LOGE say\n",
        "esp_sleep.h": "int esp_sleep_enable_timer_wakeup(unsigned long long);\n"
        "int esp_light_sleep_start(void);\n",
        "freertos/FreeRTOS.h": "#define pdMS_TO_TICKS(ms) (ms)\n",
        "freertos/task.h": "void vTaskDelay(unsigned);\n",
    },
    "zephyr/src": {
        "zephyr/kernel.h": "int k_msleep(int);\n",
        "zephyr/sys/printk.h": "void printk(const char *, ...);\n",
    },
}
"""What the examples use of systems that are not here."""


@pytest.mark.parametrize("example", STUBS)
def test_examples_for_systems_that_are_not_here_are_c(library: Path, tmp_path: Path, example: str) -> None:
    for name, text in STUBS[example].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-missing-declarations", "-fsyntax-only"]
    tool("gcc", *flags, f"-I{tmp_path}", f"-I{library}/include", library / "examples" / example / "main.c")


def test_the_esp_idf_branch_builds_a_component(library: Path, tmp_path: Path) -> None:
    """With the function of ESP-IDF's build system as its documentation describes it."""
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(stand_in C CXX)\nset(ESP_PLATFORM 1)\n"
        "set(COMPONENT_LIB __idf_motion)\n"
        'function(idf_component_register)\n  cmake_parse_arguments(_ "" "" "SRCS;INCLUDE_DIRS" ${ARGN})\n'
        "  add_library(${COMPONENT_LIB} STATIC ${__SRCS})\n"
        "  target_include_directories(${COMPONENT_LIB} PUBLIC ${__INCLUDE_DIRS})\nendfunction()\n"
        f"add_subdirectory({library} motion)\n"
        f"add_executable(main {library}/examples/host/main.c)\ntarget_link_libraries(main __idf_motion)\n"
        "enable_testing()\nadd_test(NAME main COMMAND main)\n"
    )
    assert "self-test: passed" in cmake(tmp_path, tmp_path / "build")


def test_the_pack_describes_files_that_are_there(library: Path) -> None:
    """Elements in the order of PACK.xsd."""
    root = ElementTree.parse(library / "tinydeploy.motion.pdsc").getroot()
    assert [child.tag for child in root] == [
        *("vendor", "name", "description", "url", "releases", "conditions", "components")
    ]
    files = {file.get("name", "") for file in root.iter("file")}
    assert {path for path in files if path.endswith(".cpp")} == {
        f"src/{path.name}" for path in library.glob("src/*.cpp")
    }
    assert all((library / path).exists() for path in files)
    conditions = {condition.get("id") for condition in root.iter("condition")}
    assert {component.get("condition") for component in root.iter("component")} == conditions
    assert [accept.get("Dcore") for accept in root.iter("accept")] == ["Cortex-M4"]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_alone_has_src_include_and_its_own(tmp_path: Path, form: str) -> None:
    folder = verbs.export(small(tmp_path), tmp_path / "out", forms=(form,), core="cortex-m4f")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"include/tiny.h", "src/tiny.cpp", "README.md"} <= files
    manifests = {
        "c": {"Makefile"},
        "cmake": {"CMakeLists.txt", "cmake/config.cmake.in"},
        "platformio": {"library.json"},
        "arduino": {"library.properties"},
        "esp-idf": {"CMakeLists.txt", "idf_component.yml"},
        "zephyr": {"zephyr/module.yml", "zephyr/Kconfig"},
        "cmsis-pack": {"tinydeploy.tiny.pdsc"},
    }
    others = set.union(*manifests.values()) - manifests[form]
    assert manifests[form] <= files and not files & others
