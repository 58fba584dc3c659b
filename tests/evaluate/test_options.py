"""The table of options is what the command line, the file, the Python functions and the document have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import tinydeploy as tinydeploy_package
from tinydeploy.cli import tinydeploy
from tinydeploy.errors import UsageError
from tinydeploy.evaluate import config
from tinydeploy.evaluate.keyword_types import Judging
from tinydeploy.evaluate.keywords import keywords
from tinydeploy.evaluate.option import CODE, COMMAND, Option
from tinydeploy.evaluate.option_table import VERBS, in_file

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import options_doc  # noqa: E402

FILE = in_file()


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_line_has_what_the_table_has(verb: str) -> None:
    command = tinydeploy.get_command(click.Context(tinydeploy), verb)
    assert command is not None
    found = {parameter.name: parameter for parameter in command.params if isinstance(parameter, click.Option)}
    listed = {option.name: option for option in VERBS[verb].options if option.on_command_line}
    assert [*found] == [*listed]
    for name, option in listed.items():
        assert option.long in found[name].opts
        assert found[name].help == option.text
        assert found[name].envvar == (None if option.variable_below else option.variable or None)


@pytest.mark.parametrize("verb", VERBS)
def test_the_functions_know_what_the_table_has(verb: str) -> None:
    for name in VERBS[verb].functions:
        known = keywords(getattr(tinydeploy_package, name))
        own = {"on", "engine"} if name.endswith("_each") else set()  # what sets the one apart from the others
        assert {option.name for option in VERBS[verb].options if option.in_python} - own <= known, name
    everywhere = {option.name for verb in VERBS.values() for option in verb.options}
    assert set(Judging.__annotations__) <= everywhere


def usual(option: Option) -> Any:
    """A value that the option takes."""
    values: dict[type, Any] = {str: "a", bool: True, int: 2, float: 2.5, Path: "below", tuple: ["a", "b"]}
    return option.choices[0] if option.choices else 1 if option.parse else values[option.kind]


def toml(key: str, value: Any) -> str:
    table, _, name = key.rpartition(".")
    text = repr(value).replace("True", "true")
    return f"[{table}]\n{name} = {text}\n" if table else f"{name} = {text}\n"


@pytest.mark.parametrize("key", FILE)
def test_the_file_takes_what_the_table_has(tmp_path: Path, key: str) -> None:
    option, value = FILE[key], usual(FILE[key])
    (tmp_path / "tinydeploy.toml").write_text(toml(key, value))
    if option.untrusted in (CODE, COMMAND):
        with pytest.raises(UsageError, match="not trusted"):
            config.load(tmp_path / "m.tflite")
        return
    expected = {Path: tmp_path / "below", tuple: ("a", "b")}.get(option.kind, value)
    assert getattr(config.load(tmp_path / "m.tflite"), option.name) == expected
    (tmp_path / "tinydeploy.toml").write_text(toml(key, [1]))
    with pytest.raises(UsageError):
        config.load(tmp_path / "m.tflite")


def test_the_document_is_in_step() -> None:
    assert (ROOT / "docs" / "options.md").read_text() == options_doc.page(), (
        "python scripts/options_doc.py > docs/options.md"
    )


ADDED = """
import sys
sys.path.insert(0, "scripts")
from dataclasses import replace
from pathlib import Path
from tinydeploy.evaluate import option_table as options
from tinydeploy.evaluate.option import Option
colour = Option("colour", "What it is painted.", default="red", choices=("red", "blue"), key="colour")
run = options.VERBS["run"]
options.VERBS["run"] = replace(run, options=(*run.options, colour))

import click.testing, options_doc
from tinydeploy.cli import tinydeploy
from tinydeploy.evaluate import config
said = click.testing.CliRunner().invoke(tinydeploy, ["run", "--help"]).output
assert "--colour [red|blue]" in said and "[default: red]" in said, said
assert "'green' is not one of" in click.testing.CliRunner().invoke(
    tinydeploy, ["run", "m", "--colour", "green"]).output
Path(sys.argv[1], "tinydeploy.toml").write_text("colour = 'blue'")
file = config.load(Path(sys.argv[1], "m"))
assert config.settled(file, {}, options.from_file("run")) == {"colour": "blue"}
assert config.settled(file, {"colour": "red"}, options.from_file("run")) == {"colour": "red"}
assert config.settled(file, {}, options.from_file("build")) == {}
assert "| `--colour COLOUR` | `colour` | `colour` | What it is painted." in options_doc.page()
"""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"samples": 0}, "samples is 0, and must be above zero"),
        ({"samples": -1}, "samples is -1"),
        ({"samples": 10**30}, "above zero, and at most 10,000,000"),
        ({"samples": "3"}, "samples must be a whole number, not str"),
        ({"samples": 2.5}, "samples must be a whole number, not float"),
        ({"samples": True}, "samples must be a whole number, not bool"),
        ({"timeout": float("inf")}, "timeout is inf"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"timeout": "5"}, "timeout must be a number, not str"),
        ({"board": 5}, "board must be a string, not int"),
        ({"metric": 1}, "metric must be a string"),
    ],
)
def test_a_keyword_takes_what_the_option_takes(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tinydeploy_package.run("nowhere.tflite", **given)
    with pytest.raises(UsageError, match="no such file"):
        tinydeploy_package.run("nowhere.tflite", samples=np.int64(3), timeout=np.float32(2), board=None)
    with pytest.raises(UsageError, match="the model is int where a path"):
        tinydeploy_package.run(5)  # type: ignore[arg-type]


def test_words_and_goals_that_are_none() -> None:
    model = ROOT / "models" / "digits"
    with pytest.raises(UsageError, match="cannot optimize for 'rams'"):
        tinydeploy_package.inspect(model, optimize="rams")
    assert [fit.board for fit in tinydeploy_package.fit(model, "mps2-an386")] == ["mps2-an386"]


def test_an_option_is_added_in_one_place(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ADDED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["run", "--help"], ["generate", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    program = (
        "import sys, atexit; from tinydeploy.cli import tinydeploy\n"
        "heavy = {'numpy', 'serial', 'jsonschema', 'jinja2', 'elftools', 'tinydeploy.boards.lookup'}\n"
        "heavy |= {'tinydeploy.targets.qemu', 'tinydeploy.engines.aot.pipeline'}\n"
        "atexit.register(lambda: print('loaded:', sorted(heavy & set(sys.modules))))\n"
        f"tinydeploy({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("loaded: []\n"), done.stdout + done.stderr
