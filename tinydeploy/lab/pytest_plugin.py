"""The plugin for pytest: a fixture that deploys models, a marker for boards, and an option for a port."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinydeploy.errors import TinydeployError, ToolError
from tinydeploy.results.result import Result
from tinydeploy.words import DEFAULT_BOARD

_INSTALLS = ("apt-get install", "pip install")
Deploy = Callable[..., Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    """See pytest."""
    group = parser.getgroup("tinydeploy")
    group.addoption(
        "--tinydeploy-port",
        metavar="PORT",
        help="Deploy to the board at this serial port, URL or USB serial number; 'auto' finds it.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """See pytest."""
    config.addinivalue_line(
        "markers",
        "board(id, hardware=False): the board that `deploy` takes in this test; hardware: only at a port.",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs a real board is skipped without one."""
    marker = item.get_closest_marker("board")
    if marker and marker.kwargs.get("hardware") and not item.config.getoption("tinydeploy_port"):
        pytest.skip(f"{_board(marker)} is needed itself: give --tinydeploy-port PORT")


@pytest.fixture(scope="session")
def tinydeploy_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result | TinydeployError]:
    """What was deployed in this session, by all that was asked for."""
    return {"folder": tmp_path_factory.mktemp("tinydeploy")}  # type: ignore[dict-item]


@pytest.fixture
def deploy(request: pytest.FixtureRequest, tinydeploy_results: dict[str, Any]) -> Deploy:
    """The function that deploys a model, with the keywords of tinydeploy.run, and gives the result.

    What was asked for before in this session is not run again. Where a program is missing, the test is
    skipped, with what is missing; any other failure is the test's.
    """
    marker = request.node.get_closest_marker("board")
    port = request.config.getoption("tinydeploy_port")

    def deployed(model: str | Path, **options: Any) -> Result:
        from tinydeploy import verbs

        if marker:
            options.setdefault("board", _board(marker))
        wanted = options.get("board", DEFAULT_BOARD)
        if port and (wanted == _board(marker) if marker else True):
            options.setdefault("port", port)
        key = repr((str(Path(model).resolve()), sorted(options.items(), key=lambda item: item[0])))
        if key not in tinydeploy_results:
            out = tinydeploy_results["folder"] / str(len(tinydeploy_results))
            try:
                tinydeploy_results[key] = verbs.run(model, **{"out": out, **options})[0]
            except TinydeployError as error:
                tinydeploy_results[key] = error
        found = tinydeploy_results[key]
        if isinstance(found, ToolError) and found.hint.startswith(_INSTALLS):
            pytest.skip(f"{found.message} ({found.hint})")
        if isinstance(found, TinydeployError):
            pytest.fail(f"{found.message} ({found.hint})" if found.hint else found.message, pytrace=False)
        result: Result = found
        return result

    return deployed


def _board(marker: pytest.Mark) -> str:
    if len(marker.args) != 1 or not isinstance(marker.args[0], str):
        raise pytest.UsageError('a board is named: @pytest.mark.board("nano33ble")')
    return marker.args[0]
