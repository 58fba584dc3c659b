"""Writes docs/options.md from the table of options: python scripts/options_doc.py > docs/options.md"""

from __future__ import annotations

from pathlib import Path

from tinydeploy.evaluate.option import CODE, COMMAND, PLACE, Option
from tinydeploy.evaluate.option_table import VERBS

_HEAD = """# Options

Written by `scripts/options_doc.py` from the table in `tinydeploy/evaluate/option_table.py`. An option of the command line is a
keyword of the Python function, and, where the table says so, a key of a `tinydeploy.toml` beside the model. What is given
beats the environment variable, and that the file.

| Option | Keyword | In tinydeploy.toml | What | Verbs |
|---|---|---|---|---|
"""
_TRUST = """
A `tinydeploy.toml` may have come with a model that somebody else made, so it is not believed in everything.

"""
_UNTRUSTED = {
    COMMAND: "is a command, and refused there: whoever made the file runs nothing on this machine",
    CODE: "is code, and refused there: it would run on this machine",
    PLACE: "has to be below the file's own folder: whoever made the file writes nowhere else",
}
_KINDS = {str: "", bool: "", int: "N", float: "N", Path: "PATH", tuple: ""}


def _row(option: Option, verbs: list[str]) -> str:
    cells = (
        _spelled(option),
        f"`{option.name}`" if option.in_python else "–",
        f"`{option.key}`" if option.key else "–",
        _told(option),
        "all" if len(verbs) == len(VERBS) else ", ".join(verbs),
    )
    return f"| {' | '.join(cells)} |\n"


def _spelled(option: Option) -> str:
    """How the command line has it."""
    if not option.on_command_line:
        return "–"
    value = option.metavar or _KINDS[option.kind] or ("" if option.kind is bool else option.name.upper())
    named = ", ".join(filter(None, (option.short, option.long)))
    return f"`{' '.join(filter(None, (named, value)))}`".replace("|", "\\|")


def _told(option: Option) -> str:
    """What it does, its words, its default, its limit, its variable."""
    said = [option.help]
    if option.choices:
        said.append(f"One of {', '.join(f'`{word}`' for word in option.choices)}.")
    if option.most is not None:
        said.append(f"Above zero, at most {option.most:,.0f}.")
    if option.default:
        said.append(f"Default: {option.default}.")
    if option.variable:
        said.append(f"From the environment: `{option.variable}`.")
    return " ".join(said)


def page() -> str:
    """The whole of docs/options.md."""
    rows: dict[Option, list[str]] = {}
    for name, verb in VERBS.items():
        for option in verb.options:
            rows.setdefault(option, []).append(name)
    untrusted = {option.key: option.untrusted for option in rows if option.key and option.untrusted}
    trust = "".join(f"- `{key}` {_UNTRUSTED[why]}.\n" for key, why in untrusted.items())
    # An option that means the same everywhere stands once, and first.
    ordered = sorted(rows.items(), key=lambda row: -len(row[1]))
    return _HEAD + "".join(_row(*row) for row in ordered) + _TRUST + trust


if __name__ == "__main__":
    print(page(), end="")
