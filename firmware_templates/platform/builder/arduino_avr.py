"""The Arduino core for AVR, as Debian's package arduino-core-avr installs it."""

from pathlib import Path

from SCons.Script import DefaultEnvironment

CORE = Path("/usr/share/arduino/hardware/arduino/avr")

env = DefaultEnvironment()
board = env.BoardConfig()
if not CORE.is_dir():
    env.Exit(f"Error: {CORE} is missing: apt-get install arduino-core-avr")

env.Append(
    CPPDEFINES=[("ARDUINO", 10819), "ARDUINO_ARCH_AVR", ("F_CPU", "$BOARD_F_CPU")],
    CPPPATH=[str(CORE / "cores/arduino"), str(CORE / "variants" / board.get("build.variant"))],
    # What does not fit is for PlatformIO to say, which knows by how much.
    LINKFLAGS=["-Wl,--defsym=__DATA_REGION_LENGTH__=0xf000"],
    ASPPFLAGS=board.get("build.core_flags"),
    CCFLAGS=["-fno-peephole", "-fno-peephole2"],  # which skip returns, see avr_mulhisi3.S
)
sources = env.Clone()
# Its warnings are not ours to mend, and the float.h of GCC 5 defines this for C only.
sources.Append(CCFLAGS=["-w"], CPPDEFINES=[("DECIMAL_DIG", "__DECIMAL_DIG__")])
env.Append(
    PIOBUILDFILES=env.Object(
        "$BUILD_DIR/avr_mulhisi3.o", str(Path(env.PioPlatform().get_dir(), "builder/avr_mulhisi3.S"))
    )
)
env.Prepend(LIBS=[sources.BuildLibrary("$BUILD_DIR/arduino", str(CORE / "cores/arduino"))])

# Debian's compiler is GCC 5, which has yet to hear of some of the attributes and pragmas.
env.Append(CXXFLAGS=["-Wno-attributes", "-Wno-unknown-pragmas"])
