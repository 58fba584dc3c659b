"""Writes docs/boards.md from the boards' files: python scripts/boards_doc.py > docs/boards.md"""

from __future__ import annotations

from tinydeploy.boards.board import VERIFIED, Board
from tinydeploy.boards.lookup import all_boards
from tinydeploy.report import text
from tinydeploy.targets.target_registry import emulators

_HEAD = """# Boards

Written by `scripts/boards_doc.py` from the files in [boards/](../boards), one per board. `-b` takes a board's id, what
PlatformIO calls it, or one of its other names; `tinydeploy boards ID` shows all that is known of one.

There are two kinds of support. **bare**: start-up, clock tree, UART and cycle counter are tinydeploy's own, and no
vendor's code is involved; the same sources run in the emulators. **arduino**: the firmware builds on the board's
Arduino core, by PlatformIO's platform for it in the pinned version. Any other board whose platform is installed can be
named as `-b pio:ID`: sizes and core then come from PlatformIO's own data. What is emulated **only** has firmware for the
emulator, and none for hardware of its name.

What has been verified, and how:

"""
_HARDWARE = """
No board has been run on hardware yet. Clock trees, pins and flash wait states follow the reference manuals, which the
sources in `firmware_templates/runtime/port` name, and an emulator does not prove them.

| Board | Name | Kind | Core | Clock | Flash | RAM | Emulator | Verified |
|---|---|---|---|---|---|---|---|---|
"""

_SILENT = """
## Images for Espressif's RISC-V chips

`tinydeploy build models/mnist -b esp32-c3-devkitm-1` needs no network: Debian's RISC-V GCC compiles and links, and esptool
(PyPI) makes `firmware.bin` beside the ELF file, to be written to offset 0 of the flash. There is no second-stage bootloader,
no ESP-IDF and no Arduino core: the ROM loads code and data to RAM, and start-up code (`runtime/port/clock_espressif.cpp`)
stops the watchdogs, finds the constants in the image and maps them, and brings the CPU to its full speed. The tests read the
image byte for byte; `esptool --chip esp32c3 image-info` says of it:

```
Image size: 97928 bytes
Entry point: 0x40382200
Segments: 1
Segment   Length   Load addr   File offs  Memory types
      0  0x04a20  0x40382200  0x00000018  IRAM
Checksum: 0x25 (valid)
```

The constants are the segment behind, at 0x3c000000, which the header does not count so that the ROM leaves it alone. What is
above is code, and takes RAM: `fit` counts it there. The Arduino core is there as `esp32-c3-devkitm-1-arduino`.

The C2 and the H2 take the same code; what differs is one header a chip (`runtime/port/esp32c2.h`, `esp32c3.h`, `esp32h2.h`):

| | C2 | C3 | H2 |
|---|---|---|---|
| Chip in the image's header | 12 | 5 | 16 |
| Constants mapped at | 0x3c000000 | 0x3c000000 | 0x42000000 |
| RAM as instructions see it | 0x6e0000 on | 0x700000 on | the same |
| MMU | a table, of 64 entries | a table, of 128 | two registers of the flash's controller, 256 |
| Watchdogs | RTC, super, one timer's | RTC, super, two timers' | LP, super, two timers' |
| CPU | 120 MHz; the PLL is set by the chip's analog bus | 160 MHz; the ROM's PLL | 96 MHz; the ROM's PLL |
| Crystal, and UART0's clock | 26 MHz | 40 MHz | 32 MHz |
| UART0, TX and RX | GPIO 20, 19 | GPIO 21, 20 | GPIO 24, 23 |
| USB of its own | none | 0x60043000 | 0x6000f000 |
| Cycles | mpccr | mpccr | mpccr |

The ESP32-C6 is left out. Its memories, MMU, watchdogs and UART are as the H2's, but at 160 MHz its core wants a higher voltage
than it starts with: the analog bus hands the regulator over to the power unit, with a calibration that is read from eFuses,
behind clock gates of the modem; and the flash's divider has to change before the PLL is chosen. That is other code.

### A chip that stays silent

Nobody has run this on a chip yet. Registers' addresses are those of ESP-IDF's headers (6.2), and the sequences were held against
its boot code and against Espressif's flasher stub (esp-stub-lib), which runs from RAM behind the ROM as this does. Two things
of ESP-IDF's are left out, as by the stub: it trims voltages in an H2, for the cold too, and in a C3 before revision 0.3. The
manuals were not at hand, so chapters in the comments are unchecked. Where it stops can be told from what it says. Addresses
are the C3's:

1. **Nothing at 115200 baud on UART0, not even `ESP-ROM:esp32c3`**: the ROM talks there at each reset. An ESP32-C2's, with its
   crystal of 26 MHz, does at 74880 baud; the firmware then answers at 115200. No line: the port, the cable, or the board is
   held in reset: RTS and DTR have to be off.
2. **`waiting for download`**: GPIO 9 was low at reset. Let DTR go, or press the reset button.
3. **`invalid header: 0x…`** again and again: the image is not at offset 0. `esptool --chip esp32c3 read-flash 0 0x20 head.bin`
   has to begin with e9.
4. **`load:0x40382200,len:…` and `entry 0x40382200`, then nothing**: the ROM has jumped to the firmware, which says nothing
   until it is spoken to. Press Enter: it says what it is. If it does not, it is in `clock::start()`: the watchdogs, the
   mapping, or the clock, in this order.
5. **The same and `rst:0x7 (TG0WDT_SYS_RST)` or `rst:0x10 (RTCWDT_RTC_RST)`** about once a second: a watchdog is still on, so
   it does not get through `stop_watchdogs()`.
6. **`Guru Meditation Error` from the ROM**: a fault before the firmware's own handler; MEPC and MTVAL tell where and what.
   MTVAL at 0x3c…, or 0x42… on an H2: the constants are not mapped. Read `segment_offset()` against the image.
7. **Text, but garbled**: the UART's divider. It is made for the crystal of the table, whatever the CPU runs at: `crystal_hz` in
   the board's file, 40000000 for an ESP32-C2 that has such a one.
8. **It answers by USB and not by UART0, or the other way round**: it answers where it was last spoken to. One host at a time.
9. **Cycles that make no sense**: `tinydeploy run` holds the cycle counter against the host's clock and warns. C3 and H2 need the
   PLL that the ROM leaves running for USB; a chip whose eFuses turn USB off may stop there. A C2 whose PLL does not calibrate
   itself stays with its crystal, and says so by its clock.

`esptool --chip esp32c3 --before default-reset --after hard-reset chip-id` tells whether the chip can be reached at all. A report
with the ROM's lines, and with which of these it stopped, is what is needed to mend it.
"""


def _emulators(board: Board) -> str:
    names = []
    for kind in emulators(board):
        machine = getattr(kind.described(board), "machine", "")
        names.append(f"{kind.title} `{machine}`" if machine else kind.title)
    return (", ".join(names) or "–") + " only" * board.only_emulated


def page() -> str:
    """The whole of docs/boards.md."""
    verified = "".join(f"- **{how}**: {what}.\n" for how, what in VERIFIED.items())
    notes = "".join(
        f"- `{board.id}`: {' '.join(board.notes.split())}\n" for board in all_boards() if board.notes
    )
    return (
        _HEAD + verified + _HARDWARE + "".join(map(_row, all_boards())) + "\n## Notes\n\n" + notes + _SILENT
    )


def _row(board: Board) -> str:
    cells = (
        f"`{board.id}`" + "".join(f"<br>`{alias}`" for alias in board.aliases),
        board.name,
        board.kind,
        board.core.name,
        text.clock(board.clock_hz),
        text.kib(board.flash.bytes),
        text.kib(board.ram.bytes),
        _emulators(board),
        board.verified,
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    print(page(), end="")
