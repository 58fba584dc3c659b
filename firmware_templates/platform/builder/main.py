"""How a firmware is compiled and linked. Runs inside SCons, after PlatformIO has read the project.

With a board, the cross compiler that its manifest names; without one (unit tests), the host's.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()

# Debian's GCC for AVR is version 5, which knows two options by earlier names.
avr = "BOARD" in env and env.BoardConfig().get("build.toolchain") == "avr-"
prefix_map, standard = ("-fdebug-prefix-map", "gnu++1z") if avr else ("-ffile-prefix-map", "c++17")


def avr_part(target):
    """The part, and the protocol of the bootloader that the board's serial port reaches."""
    part, _, protocol = target.partition(" ")
    return f"-p {part} -c {protocol}"


def is_here(program):
    """Whether a program that flashes boards can be called; esptool is a Python package."""
    return importlib.util.find_spec(program) if program == "esptool" else shutil.which(program)


ESPTOOL = '"$PYTHONEXE" -m esptool --chip'
# What any such board's flash takes: the chip's ROM reads all of the image so.
FLASH = "--flash-mode dio --flash-size 4MB --flash-freq"


def uploader():
    """The command line that flashes the board: by upload_protocol, else by the first program that is there.

    An upload_command in platformio.ini takes its place.
    """
    targets = env.BoardConfig().get("upload.targets", {})  # how each program calls the board
    wanted = env.subst("$UPLOAD_PROTOCOL")
    found = next((name for name in ([wanted] if wanted else targets) if is_here(name)), None)
    if found not in targets:
        if "upload" in COMMAND_LINE_TARGETS and not env.GetProjectOption("upload_command"):
            needs = wanted or " or ".join(targets) or "an upload_command"
            sys.stderr.write(f"Error: nothing here can flash this board: it needs {needs}\n")
            env.Exit(1)
        return ""
    scripts = " ".join(f"-f {script}" for script in targets[found].split())
    return {
        "openocd": f'openocd {scripts} $UPLOADERFLAGS -c "program {{$SOURCE}} verify reset exit"',
        # Without --no-wait pyOCD waits for a probe for ever.
        "pyocd": f"pyocd flash --no-wait --target {targets[found]} $UPLOADERFLAGS $SOURCE",
        "avrdude": f"avrdude {avr_part(targets[found])} -P $UPLOAD_PORT -D $UPLOADERFLAGS "
        "-U flash:w:${SOURCE.base}.hex:i",
        # By the port's USB ids it knows how to reset the chip: by the lines of a bridge, or by its own USB.
        "esptool": f"{ESPTOOL} {targets[found]} --port $UPLOAD_PORT --baud 460800 --before default-reset "
        "--after hard-reset write-flash $UPLOADERFLAGS 0x0 ${SOURCE.base}.bin",
        "st-flash": "st-flash --reset $UPLOADERFLAGS --format ihex write ${SOURCE.base}.hex",
    }[found]


env.Append(
    CCFLAGS=[
        "-O2",
        "-g",
        "-ffunction-sections",
        "-fdata-sections",
        "-Wall",
        "-Wextra",
        # Debug information without this machine's paths: the same sources give the same bytes in any folder.
        # SCons leaves what is between $( and $) out of its signatures, so a shared build cache still hits.
        "$(",
        f"{prefix_map}={env.subst('$PROJECT_DIR')}=.",
        "$)",
    ],
    CXXFLAGS=[f"-std={standard}", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"],
)

if "BOARD" in env:
    board = env.BoardConfig()
    prefix = board.get("build.toolchain")
    core = board.get("build.core_flags")
    code_in_ram = r"\.text|" if board.get("build.image", "") else ""
    env.Replace(
        AR=f"{prefix}gcc-ar",
        AS=f"{prefix}as",
        CC=f"{prefix}gcc",
        CXX=f"{prefix}g++",
        LINK=f"{prefix}gcc",
        OBJCOPY=f"{prefix}objcopy",
        RANLIB=f"{prefix}gcc-ranlib",
        SIZETOOL=f"{prefix}size",
        SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
        SIZEPROGREGEXP=r"^(?:\.text|\.model|\.rodata|\.data)\s+(\d+)",
        SIZEDATAREGEXP=rf"^(?:{code_in_ram}\.stack|\.data|\.bss)\s+(\d+)",
        PROGNAME="firmware",
        PROGSUFFIX=".elf",
    )
    env.Append(
        CPPPATH=["$PROJECT_SRC_DIR/runtime"],  # an engine includes "engine.h"
        CCFLAGS=core,
        LINKFLAGS=[*core, "-Wl,--gc-sections"],
    )
    if not env.get("PIOFRAMEWORK"):
        symbols = [f"-Wl,--defsym={name}={value}" for name, value in board.get("build.link_symbols").items()]
        env.Append(LINKFLAGS=["-nostartfiles", *symbols])
        if env.GetProjectOption("custom_libc", "") == "newlib":
            env.Replace(LINK=f"{prefix}g++")
            env.Append(LINKFLAGS=["--specs=nano.specs"])
        else:
            env.Append(CCFLAGS=["-ffreestanding"], LINKFLAGS=["-nostdlib"], LIBS=["gcc"])

# PlatformIO keeps this file in the build cache, where builds side by side would overwrite each other's.
env.SConsignFile("$BUILD_DIR/.sconsign")

if "nobuild" in COMMAND_LINE_TARGETS:  # an upload of what was built before
    program = env.File("$BUILD_DIR/firmware.elf")
    AlwaysBuild(env.Alias("nobuild", program))
else:
    program = env.BuildProgram()
    if env.get("LDSCRIPT_PATH"):
        # To SCons the linker script is just a word on the command line.
        env.Depends(program, str(Path(env.PioPlatform().get_dir(), "ldscripts", env["LDSCRIPT_PATH"])))
Default(program)

image = []
if "BOARD" in env and env.BoardConfig().get("build.image", ""):
    # What the chip's ROM reads: it loads the segments in RAM, and those in flash are for the firmware to map.
    chip = env.BoardConfig().get("build.image")
    if not is_here("esptool"):
        sys.stderr.write("Error: esptool, which makes the image, is not installed: pip install esptool\n")
        env.Exit(1)
    only_ram = "--ram-only-header --dont-append-digest"
    flash = f"{FLASH} {board.get('build.flash_frequency')}"
    made = f"{ESPTOOL} {chip} elf2image {flash} {only_ram} -o ${{SOURCE.base}}.bin $SOURCE"
    image = [env.VerboseAction(made, "Making the image ${SOURCE.base}.bin")]
    if "nobuild" not in COMMAND_LINE_TARGETS:
        Default(env.Command("$BUILD_DIR/firmware.bin", program, image))

if "BOARD" in env:
    env.Replace(UPLOADCMD=uploader())
    # Not for the programs that reach the board through a debug probe.
    by_port = [env.VerboseAction(env.AutodetectUploadPort, "Looking for the serial port")]
    steps = by_port if "UPLOAD_PORT" in str(env.get("UPLOADCMD", "")) else []
    to_hex = env.VerboseAction("$OBJCOPY -O ihex $SOURCE ${SOURCE.base}.hex", "Converting $SOURCE")
    steps += [*(image or [to_hex]), env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]
    env.AddPlatformTarget("upload", program, steps, "Upload")
