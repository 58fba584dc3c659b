"""How the windows of a convolution or a pooling lie in its input: one description for all of the compiler."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.engines.aot.ir import Params


@dataclass(frozen=True)
class Axis:
    """Along rows or columns: each of the `steps` outputs comes from a window of `taps`, every `stride`.

    The input has `size`. Two taps lie `dilation` apart. The first window begins `before` ahead of the input.
    """

    size: int
    steps: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def reach(self) -> int:
        """How many rows or columns a window spans."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def missing(self) -> int:
        """How much the windows span beyond the input's size: the padding that they need."""
        return max((self.steps - 1) * self.stride + self.reach - self.size, 0)

    @property
    def is_padded(self) -> bool:
        """Whether any window reaches beyond the input."""
        return self.missing > 0 or self.before > 0

    @property
    def inside(self) -> int:
        """How many of the windows lie in the input as a whole."""
        last = min(self.steps - 1, (self.size - self.reach + self.before) // self.stride)
        return max(0, last - max(0, -(-self.before // self.stride)) + 1)


@dataclass(frozen=True)
class Geometry(Params):
    """The windows of all output pixels of `batches` images, as kernels/window.h reads them."""

    batches: int
    input_height: int
    output_height: int
    kernel_height: int
    stride_height: int
    dilation_height: int
    pad_top: int
    input_width: int
    output_width: int
    kernel_width: int
    stride_width: int
    dilation_width: int
    pad_left: int
    padded: bool  # whether any window reaches beyond the input

    @classmethod
    def of(cls, batches: int, rows: Axis, columns: Axis) -> Geometry:
        """The geometry of windows that go through `rows` and `columns`."""
        r, c = rows, columns
        return cls(
            batches,
            *(r.size, r.steps, r.taps, r.stride, r.dilation, r.before),
            *(c.size, c.steps, c.taps, c.stride, c.dilation, c.before),
            rows.is_padded or columns.is_padded,
        )

    @classmethod
    def pointwise(cls, pixels: int) -> Geometry:
        """Windows of 1×1, one for each of so many pixels, in one row."""
        return cls.of(1, Axis(1, 1), Axis(pixels, pixels))

    @property
    def rows(self) -> Axis:
        """From top to bottom."""
        return Axis(
            self.input_height,
            self.output_height,
            self.kernel_height,
            self.stride_height,
            self.dilation_height,
            self.pad_top,
        )

    @property
    def columns(self) -> Axis:
        """From left to right."""
        return Axis(
            self.input_width,
            self.output_width,
            self.kernel_width,
            self.stride_width,
            self.dilation_width,
            self.pad_left,
        )

    @property
    def outputs(self) -> int:
        """How many output pixels there are."""
        return self.batches * self.output_height * self.output_width

    @property
    def taps(self) -> int:
        """Of a window."""
        return self.kernel_height * self.kernel_width

    @property
    def run(self) -> int:
        """How many pixels of a window lie side by side in the input: a row's, or one if it is dilated."""
        return self.kernel_width if self.dilation_width == 1 else 1
