"""The package's rooms, as its imports show them: one order, no circles, nothing long, each name once.

docs/ARCHITECTURE.md draws the order in two tables, from top to bottom; a room may import from those below it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((REPO / "tinydeploy").rglob("*.py"))
}
AOT = "tinydeploy.engines.aot"
FACES = ("tinydeploy", "tinydeploy.__main__")  # above all rooms


def imported(module: str) -> Iterator[str]:
    """The modules of the package that this one imports, wherever in it."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in MODULES or node.module in MODULES:
                    yield whole if whole in MODULES else node.module


IMPORTS = {module: frozenset(imported(module)) - {module} for module in MODULES}


def order(heading: str) -> list[str]:
    """The rooms in the first column of the table below this heading."""
    text = (REPO / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [
        room for row in re.findall(r"^\| (`.*?) \|", section, re.M) for room in re.findall(r"`(\w+)/?`", row)
    ]


def below(package: str, module: str) -> str:
    """The child of `package` in which a module lies."""
    return module.removeprefix(f"{package}.").partition(".")[0]


def circle(edges: Mapping[str, frozenset[str]]) -> list[str]:
    """The nodes of a circle; none if there is no circle."""
    done: set[str] = set()

    def visit(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node not in done:
            for other in sorted(edges.get(node, ())):
                if found := visit(other, [*way, node]):
                    return found
            done.add(node)
        return []

    return next((found for node in sorted(edges) if (found := visit(node, []))), [])


@pytest.mark.parametrize(("heading", "package"), [("The rooms", "tinydeploy"), ("The aot engine", AOT)])
def test_rooms_import_from_those_below_them(heading: str, package: str) -> None:
    rooms = order(heading)
    inside = [module for module in MODULES if module.startswith(f"{package}.") and module not in FACES]
    assert {below(package, module) for module in inside} == set(rooms)
    upwards = [
        f"{module} -> {other}"
        for module in inside
        for other in IMPORTS[module]
        if other in inside and rooms.index(below(package, module)) > rooms.index(below(package, other))
    ]
    assert upwards == []


def test_no_file_imports_itself_through_others() -> None:
    assert circle(IMPORTS) == []


def test_no_package_imports_itself_through_others() -> None:
    """Among the files and folders of each folder, by what their own imports are."""
    for package in {module.rpartition(".")[0] for module in MODULES} - {""}:
        edges: dict[str, set[str]] = {}
        for module in MODULES:
            for other in IMPORTS[module]:
                if module.startswith(f"{package}.") and other.startswith(f"{package}."):
                    edges.setdefault(below(package, module), set()).add(below(package, other))
        assert circle({child: frozenset(others - {child}) for child, others in edges.items()}) == [], package


def test_the_top_is_small() -> None:
    assert len(list((REPO / "tinydeploy").glob("*.py"))) <= 8


def test_every_name_of_a_file_is_there_once() -> None:
    names = Counter(path.name for path in MODULES.values())
    assert [name for name, count in names.items() if count > 1] == ["__init__.py"]


def test_modules_and_functions_are_short() -> None:
    long = []
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 350:
            long.append(module)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno and node.end_lineno - node.lineno >= 50:
                long.append(f"{module}.{node.name}")
    assert long == []
