"""A board on another machine: its port by RFC 2217, or as a plain socket, through a whole run."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
import serial.rfc2217
from nightly import NIGHTLY, turn
from pty_board import BOARD, PtyBoard, intact

REPO = Path(__file__).resolve().parents[2]
MOTION = REPO / "models" / "motion"


class Lines(serial.Serial):  # type: ignore[misc]
    """The port at the server. While a line is asserted the board stands still, as some adapters hold it."""

    board: PtyBoard
    settings = 0
    cts = dsr = True  # a pseudo-terminal has none
    ri = cd = False

    def _update_dtr_state(self) -> None:
        self._hold()

    def _update_rts_state(self) -> None:
        self._hold()

    def _hold(self) -> None:
        held = self._dtr_state or self._rts_state
        self.board.to_device = self.board.to_host = (lambda data: b"") if held else intact

    def apply_settings(self, settings: dict[str, object]) -> None:
        self.settings += 1

    def _reconfigure_port(self, force_update: bool = False) -> None:
        self.settings += 1
        super()._reconfigure_port(force_update)


class Server:
    """One client after another gets the board's port, by RFC 2217 or as it is."""

    def __init__(self, board: PtyBoard, scheme: str) -> None:
        self._scheme = scheme
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"
        self.port = Lines()
        self.port.board, self.port.port, self.port.timeout = board, str(board.port), 0
        self.port.dtr = self.port.rts = False
        self.port.open()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._listening.close()
        self.port.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            if select.select([self._listening], [], [], 0.05)[0]:
                client, _ = self._listening.accept()
                with client:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        writer = type("Writer", (), {"write": lambda _, data: client.sendall(data)})()
        telnet = serial.rfc2217.PortManager(self.port, writer) if self._scheme == "rfc2217" else None
        while not self._over.is_set():
            ready = select.select([client, self.port], [], [], 0.05)[0]
            try:
                if client in ready:
                    data = client.recv(4096)
                    if not data:
                        return
                    self.port.write(b"".join(telnet.filter(data)) if telnet else data)
                if self.port in ready:
                    said = self.port.read(4096)
                    client.sendall(b"".join(telnet.escape(said)) if telnet else said)
            except OSError:
                return  # the client has gone


@pytest.fixture
def board(tmp_path: Path) -> Iterator[PtyBoard]:
    with PtyBoard(tmp_path) as plugged:
        yield plugged


def run(board: PtyBoard, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinydeploy", "run", str(MOTION), "-b", BOARD, "--port", url, "--json"]
    command += ["--upload-command", board.upload_command, "--samples", "2", *options]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.run(
        command, cwd=board.port.parent, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("scheme", turn(["rfc2217", "socket"], "rfc2217"))
def test_a_whole_run_over_the_network(board: PtyBoard, scheme: str) -> None:
    server = Server(board, scheme)
    try:
        done = run(board, server.url)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["parity"]["identical"] == result["parity"]["outputs"] > 0
        # For each of the four settings whenever the port is opened, and never between two reads.
        assert server.port.settings < 20
        if scheme == "rfc2217":
            held = run(board, server.url, "--rts", "on", "--no-upload", "--timeout", "2")
            assert held.returncode == 3
            assert "did not answer HELLO" in held.stderr
            if NIGHTLY:
                assert run(board, server.url, "--rts", "reset", "--no-upload").returncode == 0
        else:
            refused = run(board, server.url, "--rts", "off")
            assert (refused.returncode, "no line RTS" in refused.stderr) == (2, True)
    finally:
        server.close()
    assert board.uploads == 1
