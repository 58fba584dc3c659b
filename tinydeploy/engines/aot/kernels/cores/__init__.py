"""The kernels of each instruction set."""
