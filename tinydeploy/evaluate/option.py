"""What the table of options says of an option, and of a verb."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

COMMAND = "a command"
"""What Option.untrusted says of a command, which a file beside a model may not give."""
CODE = "code that will run"
"""Likewise: a download may bring scripts of its own, and semihosting gives what runs in QEMU a shell."""
PLACE = "a place"
"""What it says of a folder, which such a file may name below its own alone."""


@dataclass(frozen=True)
class Option:
    """One option, by the keyword that the Python functions know it by.

    `kind` is str, bool (a flag of the command line), int, float, Path or tuple (of strings). `default` is
    told to people. `choices` are all words that it may be, `completions` those that a shell completes it by.
    A number has to be above zero and at most `most`, unless it is `any_number`. `variable` is the environment
    variable that may hold it; `variable_below` says that it is read where the value is used, and is no flag.
    `key` is its name in tinydeploy.toml, where it may be an `also` as well; without one it is not known
    there. `untrusted` says why such a file is not believed: COMMAND, CODE or PLACE. `parse` makes of what is
    written, wherever that is, what is meant, and raises ValueError with words that follow the option's name.
    """

    name: str
    help: str
    kind: type = str
    default: str = ""
    flag: str = ""  # "--json", if it is not the name with dashes
    short: str = ""
    metavar: str | None = None
    choices: Sequence[str] = ()
    completions: Callable[[], Iterable[str]] | None = None
    most: float | None = None
    any_number: bool = False
    variable: str = ""
    variable_below: bool = False
    key: str = ""
    also: type | None = None
    untrusted: str = ""
    parse: Callable[[object], Any] | None = None
    on_command_line: bool = True
    in_python: bool = True

    @property
    def long(self) -> str:
        """The command line's long option."""
        return self.flag or f"--{self.name.replace('_', '-')}"

    @property
    def text(self) -> str:
        """The help, with the default if there is one to tell."""
        return f"{self.help}  [default: {self.default}]" if self.default else self.help


@dataclass(frozen=True)
class Verb:
    """A verb: its line in --help, its options in the order of its own --help, its functions in Python.

    `home` is the module that they stand in.
    """

    help: str
    options: tuple[Option, ...]
    functions: tuple[str, ...] = ()
    home: str = "verbs"
