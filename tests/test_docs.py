"""What the documents say has to be so."""

import re
from pathlib import Path

from tinydeploy.boards.lookup import all_boards
from tinydeploy.cli import VERBS
from tinydeploy.engines.aot.lowering.dispatch import LOWERINGS
from tinydeploy.engines.tflm.resolver import ADDERS
from tinydeploy.targets.target_registry import choose_target

REPO = Path(__file__).resolve().parent.parent


def test_the_table_of_ops_is_the_registry() -> None:
    text = (REPO / "docs" / "ops.md").read_text()
    rows = re.findall(r"^\| ([A-Z0-9_, ]+) \|[^|]+\| ([a-z, ]+) \|", text, re.MULTILINE)
    listed = {op: engines.split(", ") for row, engines in rows for op in row.split(", ")}
    assert sum(len(row.split(", ")) for row, _ in rows) == len(listed)
    assert listed == {op: ["aot", "tflm"] if op in ADDERS else ["aot"] for op in LOWERINGS}
    (rest,) = re.findall(r"^Only the tflm engine runs: ([^.]+)\.", text, re.MULTILINE)
    assert set(re.split(r",\s", rest)) == {op for op in ADDERS if not op.startswith("CUSTOM:")} - {*LOWERINGS}


def test_the_readme_names_every_emulated_board_and_every_verb() -> None:
    readme = (REPO / "README.md").read_text()
    for board in all_boards():
        assert not choose_target(board, None).is_emulator or f"`{board.id}`" in readme
    for verb in VERBS:
        assert f"tinydeploy {verb} " in readme


def test_links_between_documents_lead_somewhere() -> None:
    for document in [REPO / "README.md", *(REPO / "docs").glob("*.md"), REPO / "models" / "README.md"]:
        for link in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
