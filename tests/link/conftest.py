"""What tests of the link share: the echo firmware on this machine, and a host that does not wait."""

from pathlib import Path

import firmware_build
import pytest

from tinydeploy.link import device


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware_build.for_host(tmp_path_factory.mktemp("native"), "echo")


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_HELLO_RETRY", 0.02)
    monkeypatch.setattr(device, "_FIRST_RETRY", 0.02)
