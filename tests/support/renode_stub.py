"""What Renode's test tool offers a suite, as a library of Robot Framework's that says what a file holds.

The file's lines are those of the UART, but for those that begin with "log: ", which Renode itself says.
"""

from __future__ import annotations

import re
from pathlib import Path


class renode_stub:  # noqa: N801 - Robot Framework wants the module's name
    def __init__(self, said: str) -> None:
        lines = Path(said).read_text().splitlines()
        self._log = [line.removeprefix("log: ") for line in lines if line.startswith("log: ")]
        self._uart = [line for line in lines if not line.startswith("log: ")]

    def wait_for_line_on_uart(self, pattern: str, treatAsRegex: str = "false") -> object:  # noqa: N803
        assert treatAsRegex == "true"
        while self._uart:
            if found := re.search(pattern, self._uart.pop(0)):
                return type("Result", (), {"Groups": found.groups()})()
        raise AssertionError("Terminal tester failed: timeout")

    def should_not_be_in_log(self, words: str) -> None:
        assert not any(words in line for line in self._log)

    def _nothing(self, *arguments: str) -> None:
        """The machine is made and started, and ended."""

    setup = teardown = reset_emulation = execute_command = start_emulation = _nothing

    def create_log_tester(self, timeout: str) -> None:
        """Listens to the log."""

    def create_terminal_tester(self, uart: str, timeout: str) -> None:
        """Listens to the UART."""
