"""What the documents say has to be so."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from tinydeploy.boards import lookup as boards
from tinydeploy.boards.lookup import all_boards
from tinydeploy.cli import VERBS, tinydeploy
from tinydeploy.engines.aot.lowering.dispatch import LOWERINGS
from tinydeploy.model.ops import catalogue
from tinydeploy.targets.target_registry import choose_target

REPO = Path(__file__).resolve().parent.parent


def test_the_table_of_ops_is_the_registry() -> None:
    text = (REPO / "docs" / "ops.md").read_text()
    registered = catalogue.kinds(lambda op: op.resolver)
    rows = re.findall(r"^\| ([A-Z0-9_, ]+) \|[^|]+\| ([a-z, ]+) \|", text, re.MULTILINE)
    listed = {op: engines.split(", ") for row, engines in rows for op in row.split(", ")}
    assert sum(len(row.split(", ")) for row, _ in rows) == len(listed)
    assert listed == {op: ["aot", "tflm"] if op in registered else ["aot"] for op in LOWERINGS}
    (rest,) = re.findall(r"^Only the tflm engine runs: ([^.]+)\.", text, re.MULTILINE)
    builtin = {op for op in registered if not op.startswith("CUSTOM:")}
    assert set(re.split(r",\s", rest)) == builtin - {*LOWERINGS}


def test_the_readme_names_every_emulated_board_and_every_verb() -> None:
    readme = (REPO / "README.md").read_text()
    for board in all_boards():
        assert not choose_target(board, None, stand_ins=False).is_emulator or f"`{board.id}`" in readme
    for verb in VERBS:
        assert f"tinydeploy {verb} " in readme


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for link in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


# --- every command of the documents parses --------------------------------------------------------

DOCUMENTS = [
    REPO / "README.md",
    *sorted((REPO / "docs").glob("*.md")),
    REPO / "models" / "README.md",
    *sorted((REPO / "examples").glob("**/README.md")),
]
_STANDS_FOR = {
    "MODEL": "models/digits",
    "MODEL…": "models/digits",
    "BOARD": "mps2-an386",
    "BOARD…": "mps2-an386",
    "ID": "nano33ble",
    "WORDS…": "stm32",
    "DIR": "out",
    "FOLDER": "out",
    "X": "models/digits/test.npz",
    "PORT": "/dev/ttyACM0",
    "SIZE": "1G",
    "NAME|INDEX": "0",
    "NAME": "f1",
    "n": "8",
}
_PROGRAMS = ("tinydeploy", "python", "make", "benchmarks/", "scripts/", ".venv")


def commands(document: Path) -> list[str]:
    """The lines of the document's blocks without a language, and the code in its sentences.

    What follows `cd` is done in a project, whose own tests see to it.
    """
    text = document.read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines if not line.startswith("cd ") for part in line.split(" && ")]
    sentences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return parts + [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", sentences)]


def words(command: str) -> list[str]:
    """Its words: without what explains it, what is redirected, and the brackets of what may be left out."""
    said = re.split(r"\s{2,}|\s#|\s>\s|\s\|\s(?=source)", command.replace(" | ", "|"), maxsplit=1)[0]
    said = re.sub(r"\[[^]]*\]", "", said) if "|" in said else said.replace("[", "").replace("]", "")
    return [_STANDS_FOR.get(word, word) for word in shlex.split(said)]


def parse(command: click.Command, arguments: list[str]) -> click.Context:
    """The context of a command line that is understood; nothing is run. The model may be left out."""
    try:
        return command.make_context(command.name, [*arguments])
    except click.MissingParameter:
        return command.make_context(command.name, [*arguments, _STANDS_FOR["MODEL"]])


def verb(name: str) -> click.Command:
    found = tinydeploy.get_command(click.Context(tinydeploy), name)
    assert found is not None, f"no verb {name}"
    return found


def program(path: str) -> click.Command:
    """The command of a script of this repository."""
    spec = importlib.util.spec_from_file_location("script", REPO / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["script"] = module
    spec.loader.exec_module(module)
    found = module.main
    assert isinstance(found, click.Command)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_every_command_is_understood(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    targets = re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)
    for command in commands(document):
        first, *rest = (words(command) if command.startswith((*_PROGRAMS, *VERBS)) else []) or [""]
        if first == "make" and rest[:1] == ["-C"]:  # tests/test_examples.py looks at the target
            assert any((REPO / rest[1]).glob("*akefile")), command
        elif first == "make" and rest:
            assert rest[0] in targets, command
        elif first == "tinydeploy" and rest:
            context = parse(verb(rest[0]), rest[1:])
            if board := context.params.get("board"):
                assert boards.board(board), command
            for file in ("model", "data"):
                assert (context.params.get(file) or REPO).exists(), command
        elif rest and first in VERBS:  # `run --port` in a sentence
            known = {name for option in verb(first).params for name in option.opts} | {"--help"}
            assert {word for word in rest if word.startswith("-")} <= known, command
        elif "benchmarks/" in command and ("python" in first or first.startswith("benchmarks/")):
            script, *arguments = [first, *rest] if first.startswith("benchmarks/") else rest
            parse(program(script), arguments)


def test_every_option_that_is_named_exists() -> None:
    known = {name for each in VERBS for option in verb(each).params for name in option.opts}
    known |= {"--help", "--version", "--validate", "--no-install-recommends", "--specs"}
    for script in (REPO / "benchmarks").glob("*.py"):
        known |= set(re.findall(r'"(--[a-z-]+)"', script.read_text()))
    for document in DOCUMENTS:
        for code in commands(document):
            if code.startswith(("-", *VERBS, "tinydeploy", "benchmarks/", "python")):
                named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code))
                assert named <= known, f"{document.name}: {code}"


def test_every_file_and_every_variable_that_is_named_exists() -> None:
    roots = "models|docs|tests|benchmarks|scripts|boards|firmware_templates|tinydeploy"
    program = "".join(path.read_text() for path in (REPO / "tinydeploy").rglob("*.py"))
    program += "".join(path.read_text() for path in (REPO / "tests").glob("*.py"))
    program += "".join(path.read_text() for path in (REPO / "firmware_templates/export").iterdir())
    for document in DOCUMENTS:
        for code in commands(document):
            for path in re.findall(rf"(?<![\w/.-])(?:{roots})/[\w./-]*[\w/]", code):
                assert (REPO / path).exists(), f"{document.name}: {path}"
            for variable in re.findall(r"\bTINYDEPLOY_[A-Z_]+", code):
                assert variable in program, f"{document.name}: {variable}"


def test_every_test_that_is_named_exists() -> None:
    known = {path.stem for path in (REPO / "tests").rglob("test_*.py")}
    for document in DOCUMENTS:
        named = set(re.findall(r"`(test_\w+)`", document.read_text(encoding="utf-8")))
        assert named <= known, document.name
