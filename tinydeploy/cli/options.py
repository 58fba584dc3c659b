"""The table of options as the command line's: how each is parsed, shown and completed."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from tinydeploy.cli import shell
from tinydeploy.evaluate.option import Option
from tinydeploy.evaluate.option_table import ALWAYS, LONGEST_TIMEOUT, VERBS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Once(click.Option):
    """An option that takes one value, and is refused if it is given two, or an empty one. See click.

    An empty one is a script's variable that was not set: `--baseline "$BASE"` must not mean no baseline.
    """

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """See click."""
        super().add_to_parser(parser, ctx)
        if self.is_flag:
            return
        for name in self.opts:
            option = parser._long_opt.get(name) or parser._short_opt.get(name)
            option.process = functools.partial(self._process, option.process)

    def _process(self, process: Callable[[Any, Any], None], value: Any, state: Any) -> None:
        if self.name in state.opts:
            first = state.opts[self.name]
            raise click.UsageError(f"{'/'.join(self.opts)} is given twice: {first} and {value}")
        if value == "":
            raise click.UsageError(f"{'/'.join(self.opts)} is given an empty value")
        process(value, state)


class Seconds(click.FloatRange):
    """A time that a wait can take: above zero, at most `most`, and a number."""

    def __init__(self, most: float | None = LONGEST_TIMEOUT) -> None:
        super().__init__(0, most, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        number = super().convert(value, param, ctx)
        return self.fail(f"{value} is no number of seconds", param, ctx) if math.isnan(number) else number


class Parsed(click.ParamType[Any]):
    """A value that a function of the table makes of what is written."""

    name = "value"

    def __init__(self, parse: Callable[[object], Any]) -> None:
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        try:
            return self._parse(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def _completed(option: Option) -> dict[str, Any]:
    """How a shell completes the option, where it can do more than click does by itself."""
    words = option.completions
    if words is None:
        return {}

    def complete(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in words() if word.startswith(begun)]

    return {"shell_complete": complete}


def _type(option: Option) -> Any:
    """What click makes of what is given."""
    if option.parse is not None:
        return Parsed(option.parse)
    if option.choices:
        return click.Choice(option.choices)
    if option.kind is int:
        return click.IntRange(1, None if option.most is None else int(option.most))
    if option.kind is float:
        return float if option.any_number else Seconds(option.most)
    return click.Path(path_type=Path) if option.kind is Path else None


def _obeyed(function: Callable[[], None]) -> dict[str, Any]:
    """An option that is carried out at once, and that no verb is told of."""

    def obey(_context: click.Context, _option: click.Parameter, wanted: bool) -> None:
        if wanted:
            function()

    return {"callback": obey, "expose_value": False}


_OBEYED = {"verbose": _obeyed(shell.be_verbose), "quiet": _obeyed(shell.be_quiet)}


def _option(option: Option) -> Decorator:
    """The option of the table as click's."""
    is_flag = option.kind is bool
    several = option.kind is tuple
    return click.option(
        *filter(None, (option.short, option.long, option.name)),
        cls=click.Option if several else Once,
        multiple=several,
        is_flag=is_flag,
        default=None,
        type=None if is_flag else _type(option),
        metavar=option.metavar,
        envvar=None if option.variable_below else option.variable or None,
        help=option.text,
        **_completed(option),
        **_OBEYED.get(option.name, {}),
    )


def verb(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of the command line, with the options that the table gives it."""

    def decorated(function: Callable[..., Any]) -> click.Command:
        decorate: Callable[..., click.Command] = click.command(name, **attributes)
        return decorate(_stacked(VERBS[name].options)(function))

    return decorated


def _stacked(options: tuple[Option, ...]) -> Decorator:
    """Several options as one decorator, listed in --help in this order."""
    shown = [_option(option) for option in options if option.on_command_line]
    return lambda command: functools.reduce(lambda inner, option: option(inner), reversed(shown), command)


always = _stacked(ALWAYS)
"""What may stand before a verb as well."""
model = click.argument("model", type=click.Path(path_type=Path))


def board_ids(_context: click.Context, _argument: click.Parameter, begun: str) -> list[CompletionItem]:
    """What a shell completes a board by."""
    from tinydeploy.boards import lookup

    return [CompletionItem(name) for name in lookup.ids() if name.startswith(begun)]


def given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {name: flag for name, flag in flags.items() if flag not in (None, ())}
