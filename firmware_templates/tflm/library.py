"""Which files of TFLite Micro are compiled, and how. Runs inside SCons, in the library's own environment."""

Import("env")

env.Replace(SRC_FILTER=env.GetProjectOption("custom_library_sources", "+<*>").split("\n"))


def without_if_conversion(env, node):
    """GCC 12 makes a rounding of its loop that Debian's assembler does not know for Helium: vcvtne."""
    return env.Object(node, CCFLAGS=[*env["CCFLAGS"], "-fno-if-conversion2"])


if "-mcpu=cortex-m55" in env["CCFLAGS"]:
    env.AddBuildMiddleware(without_if_conversion, "*/resize_nearest_neighbor.*")
