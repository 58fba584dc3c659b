"""How the command line talks: results on stdout, progress and errors on stderr, exit codes."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import logging
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tinydeploy.errors import GateError, TinydeployError, UsageError
from tinydeploy.progress import Progress, silent
from tinydeploy.report.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

CHECK_FAILED, USAGE, FAILED, INTERRUPTED = 1, 2, 3, 130
PIPE_CLOSED = 141  # as a shell tells of a program that SIGPIPE ended
EXIT_CODES = (
    f"Exit codes: 0 done, {CHECK_FAILED} a check failed, {USAGE} wrong usage, or a model or data file that "
    f"cannot be used or does not fit the board, {FAILED} a tool, a build or a target failed, "
    f"{INTERRUPTED} interrupted."
)


def show(renderable: RenderableType) -> None:
    """Prints a result for people; a string as it is, in one line. No line ends in spaces."""
    from tinydeploy.cli import terminal

    with _written():
        terminal.write(renderable)


def show_json(value: Any) -> None:
    """Prints a result as JSON, and nothing else, on stdout."""
    with _written():
        click.echo(json.dumps(plain(value), indent=2))


class _ReaderGoneError(BaseException):
    """Whoever read stdout has closed it. Not BrokenPipeError, which click makes exit code 1."""


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise _ReaderGoneError from error
    except OSError as error:
        _drop_output()
        raise UsageError(f"cannot write the output: {error.strerror or error}") from error


def _drop_output() -> None:
    """What could not be written is not tried again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain(value: Any) -> Any:
    """Frozen dataclasses as dictionaries, paths as strings."""
    if dataclasses.is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


_is_quiet = False


def be_quiet() -> None:
    """From now on only results are shown, and errors."""
    global _is_quiet
    _is_quiet = True


def be_verbose() -> None:
    """From now on every command that is run is shown on stderr, and PlatformIO's own commands after it."""
    if _is_quiet:
        raise click.UsageError("--quiet and --verbose exclude each other")

    def say(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and not isinstance(arguments[1], str):
            _say(shlex.join(map(os.fsdecode, arguments[1])))

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _say(record.getMessage())

    sys.addaudithook(say)
    logger = logging.getLogger("tinydeploy")
    logger.addHandler(Handler())
    logger.setLevel(logging.INFO)


def _say(command: str) -> None:
    from rich.text import Text

    from tinydeploy.cli import terminal

    terminal.stderr.print(Text(printable(f"+ {command}"), no_wrap=True), overflow="ignore", crop=False)


@contextmanager
def progress(first: str) -> Iterator[Progress]:
    """A line on stderr that says what is going on, from the start, which is `first`.

    Nothing at all is shown where stderr is not a terminal.
    """
    from tinydeploy.cli.terminal import stderr

    if _is_quiet or not stderr.is_terminal:
        yield silent
        return
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
    )
    with Bars(*columns, TimeElapsedColumn(), console=stderr, transient=True) as bars:
        task = bars.add_task(first, total=None, count="")

        def update(phase: str, done: int = 0, total: int = 0) -> None:
            shown, whole = bars.tasks[0], total or None  # update() takes None for "as before"
            if shown.total != whole:  # a thread draws the bar, and would see one count in another's whole
                shown.total = None
            count = f"{done:,}/{total:,}" if total else ""
            bars.update(task, description=phase, completed=done, count=count)
            shown.total = whole

        yield update


def tell(line: str) -> None:
    """A line on stderr that is no error."""
    if not _is_quiet:
        _complain(line)


def check_failed(failures: Sequence[str], hint: str = "") -> None:
    """Each check that failed as an error of one line; raises GateError of the last, if there is one."""
    for failure in failures[:-1]:
        _complain(f"a check failed: {failure}")
    if failures:
        raise GateError(f"a check failed: {failures[-1]}", hint)


def _complain(message: str, hint: str = "") -> None:
    """One line on stderr. A message may name what a file names, so nothing in it may steer a terminal."""
    line = f"tinydeploy: {message}" + (f" ({hint})" if hint else "")
    click.echo(printable(" ".join(line.splitlines())), err=True)


class _Interrupted(BaseException):
    """SIGINT or SIGTERM. Not KeyboardInterrupt, of which click would make an empty line."""


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise _Interrupted


def _open_standard_streams() -> bool:
    """What a shell has closed (`>&-`) is opened, on nothing, lest a file gets its number. Was it stdout?"""
    is_closed = sys.stdout is None
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 (as long as the process)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    return is_closed


def guarded(command: click.Command) -> NoReturn:
    """Runs the command and exits as EXIT_CODES says."""
    if _open_standard_streams():
        _complain("cannot write the output: stdout is closed")
        sys.exit(USAGE)
    try:
        Path.cwd()
    except OSError as error:
        _complain(
            f"the folder that this was called in is not there any more: {error.strerror}", "cd to another"
        )
        sys.exit(USAGE)
    # A terminated run ends its children just as an interrupted one does.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may know fewer characters than a name has
    try:
        code = command.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except TinydeployError as error:
        _complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _complain(error.format_message(), _click_hint(error))
        sys.exit(USAGE)
    except _Interrupted:
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, signal.SIG_IGN)  # all is ended: nothing is left to interrupt
        _complain("interrupted")
        sys.exit(INTERRUPTED)
    except _ReaderGoneError:
        _drop_output()  # nobody is left to tell
        sys.exit(PIPE_CLOSED)
    except Exception as error:  # ours to mend: it must not look like a check that failed
        _drop_output()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _complain("no space left on device", error.filename or "")
            sys.exit(USAGE)
        _complain(*_unexpected(error))
        sys.exit(FAILED)


def _unexpected(error: Exception) -> tuple[str, str]:
    """The line, and the hint, for what nothing has answered where it arose."""
    from tinydeploy.host import cache

    trace = cache.write_trace("".join(traceback.format_exception(error)))
    kept = f"please report it, with {trace}" if trace else "its trace could not be kept"
    return f"an error of tinydeploy's own: {type(error).__name__}: {str(error)[:200]}", kept


def _click_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see {context.command_path} --help" if context else ""
