"""How figures and names are written for people; the console and the HTML report share it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

from tinydeploy.report.printable import printable as printable
from tinydeploy.results.setting import TensorInfo


def kib(size: int) -> str:
    """Bytes as KiB: "52.7 KiB"; below 1 KiB "772 B"; whole KiB carry no decimals ("128 KiB")."""
    if abs(size) < 1024:
        return f"{size} B"
    decimals = 0 if size % 1024 == 0 else 1
    return f"{size / 1024:,.{decimals}f} KiB"


def mib(size: int) -> str:
    """Bytes as MiB, or as GiB from 1,024 of them on: "12.3 MiB"."""
    return f"{size / (1 << 20):,.1f} MiB" if size < 1 << 30 else f"{size / (1 << 30):,.1f} GiB"


def millions(count: float) -> str:
    """A count with three significant digits in millions ("7.70 M"), exact below 100,000 ("3,600")."""
    if abs(count) < 100_000:
        return f"{count:,.0f}"
    scaled = count / 1e6
    decimals = min(3, max(0, 2 - math.floor(math.log10(abs(scaled)))))
    return f"{scaled:,.{decimals}f} M"


def percent(ratio: float, decimals: int = 1) -> str:
    """A ratio as "98.4 %". Only an exact 1 reads 100 %, only an exact 0 reads 0 %."""
    if ratio in (0.0, 1.0):
        return f"{ratio:.0%}".replace("%", " %")
    step = 10.0**-decimals
    value = round(ratio * 100, decimals)
    if 0 < ratio < 1:
        if value >= 100:
            return f"> {100 - step:.{decimals}f} %"
        if value <= 0:
            return f"< {step:.{decimals}f} %"
    return f"{value:,.{decimals}f} %"


def ratio(part: float, whole: float) -> float:
    """Part of whole; 0 if there is no whole."""
    return part / whole if whole else 0.0


def per_mac(instructions: float, macs: int) -> str:
    """Instructions per multiply-accumulate: "2.90"; "–" for what has no MACs."""
    return f"{instructions / macs:,.2f}" if macs else "–"


def micros(duration: float) -> str:
    """A time in microseconds with three significant digits: "850 µs", "12.3 ms", "1.20 s"."""
    for unit, scale in (("s", 1e6), ("ms", 1e3)):
        if duration >= scale:
            return f"{duration / scale:#.3g}".rstrip(".") + f" {unit}"
    return f"{duration:#.3g}".rstrip(".") + " µs"


def microjoules(energy: float) -> str:
    """An energy in microjoules with three significant digits: "72.2 µJ", "1.43 mJ", "2.10 J"."""
    for unit, scale in (("J", 1e6), ("mJ", 1e3)):
        if energy >= scale:
            return f"{energy / scale:#.3g}".rstrip(".") + f" {unit}"
    return f"{energy:#.3g}".rstrip(".") + " µJ"


def clock(hertz: int) -> str:
    """A clock: "25 MHz"."""
    return f"{hertz / 1e6:g} MHz"


def shape(dims: Sequence[int]) -> str:
    """A tensor's shape, without a leading batch of one: "48×48×16"."""
    shown = dims[1:] if len(dims) > 1 and dims[0] == 1 else dims
    return "×".join(str(size) for size in shown) or "scalar"


def tensor(info: TensorInfo) -> str:
    """A tensor at the model's edge: "1×28×28×1 int8, (q + 128) × 0.00392157"."""
    quantization = ""
    if info.scale is not None:
        zero = info.zero_point or 0
        code = f"(q {'-' if zero > 0 else '+'} {abs(zero)})" if zero else "q"
        quantization = f", {code} × {info.scale:.6g}"
    return f"{'×'.join(map(str, info.shape))} {info.dtype}{quantization}"


def seconds(duration: float) -> str:
    """A duration: "0.42 s", "3 min 20 s"."""
    if duration < 60:
        return f"{duration:.2f} s" if duration < 10 else f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"


def shorten(name: str, width: int) -> str:
    """At most `width` characters; what is left out of the middle becomes an ellipsis."""
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return name[: width - 1 - tail] + "…" + name[len(name) - tail :]


def base_name(path: str) -> str:
    """The file's name, safe to show."""
    return printable(PurePath(path).name or path)
